// Protocols: relp, relp+tls, journal+http, journal+https
/** Tests that every entry is stored after the server or the network hung. */
import { execFileSync } from 'node:child_process';
import * as assert from 'uvu/assert';
import { configure, forwardState, startAgent } from './support/agent.ts';
import { guestTls } from './support/certificates.ts';
import { LiveJournal, numbered } from './support/journal.ts';
import { peakMemory } from './support/program.ts';
import { acknowledging, assertStored } from './support/protocols.ts';
import { sleep, until } from './support/until.ts';
import { wireSuite } from './support/wire-suite.ts';

const hang = await wireSuite(import.meta.filename, 'a server or network that hangs');
hang.after.each(() => void execFileSync('ip', ['link', 'set', 'lo', 'up']));

const count = 20_000;
/** How many entries are acknowledged before the server or the network hangs. */
const first = 2000;

const acknowledged = () => forwardState()?.counts.acknowledged ?? 0;

for (const protocol of acknowledging) {
  const { forward, start } = protocol;

  /** Waits until the first entries are acknowledged, so that the test does not depend on the speed of the machine. */
  const begin = async (): Promise<LiveJournal> => {
    const journal = new LiveJournal();
    journal.append(numbered('entry', first));
    await until('the first entries', () => acknowledged() >= first);
    return journal;
  };

  hang(`${forward}: the server hangs: memory is bounded, and the agent can be stopped`, async () => {
    configure({ FORWARD: forward, ...guestTls });
    const server = await start();
    const agent = startAgent();
    const journal = await begin();
    server.signal('SIGSTOP');
    journal.append(numbered('entry', count - first, first));
    await sleep(3000);
    assert.ok(peakMemory(agent.pid) < 200, `${peakMemory(agent.pid)} MiB`);
    assert.is(acknowledged(), first);
    assert.is(await agent.stop(40), 0);
    server.signal('SIGCONT');
    await journal.close();
    startAgent();
    await assertStored(protocol, count, 1);
  });

  hang(`${forward}: every packet is dropped for 3 s: forwarding continues`, async () => {
    configure({ FORWARD: forward, ...guestTls });
    await start();
    startAgent();
    const journal = await begin();
    execFileSync('ip', ['link', 'set', 'lo', 'down']);
    journal.append(numbered('entry', count - first, first));
    await sleep(3000);
    assert.is(acknowledged(), first);
    execFileSync('ip', ['link', 'set', 'lo', 'up']);
    await journal.close();
    await assertStored(protocol, count, 1);
  });
}

hang.run();
