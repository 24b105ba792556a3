// Protocols: relp, relp+tls, journal+http, journal+https
/** Tests that every entry is stored after the server or the network hung. */
import { execFileSync } from 'node:child_process';
import * as assert from 'uvu/assert';
import { configure, forwardState, startAgent } from './support/agent.ts';
import { guestTls } from './support/certificates.ts';
import { LiveJournal, numbered } from './support/journal.ts';
import { peakMemory } from './support/program.ts';
import { sleep, until } from './support/until.ts';
import { acknowledging, assertStored } from './support/protocols.ts';
import { wireSuite } from './support/wire-suite.ts';

const hang = await wireSuite(import.meta.filename, 'a server or network that hangs');
hang.after.each(() => void execFileSync('ip', ['link', 'set', 'lo', 'up']));

/** A part of the entries: the network is gone for five of them, and then the server hangs for four. */
const part = 2000;

const acknowledged = () => forwardState()?.counts.acknowledged ?? 0;

for (const protocol of acknowledging) {
  const { forward, start } = protocol;
  hang(`${forward}: no network, then no answers: nothing is lost, memory is bounded`, async () => {
    configure({ FORWARD: forward, ...guestTls });
    const server = await start();
    const agent = startAgent();
    const journal = new LiveJournal();
    // The test does not depend on the speed of the machine.
    journal.append(numbered('entry', part));
    await until('the first entries', () => acknowledged() >= part);
    execFileSync('ip', ['link', 'set', 'lo', 'down']);
    journal.append(numbered('entry', 5 * part, part));
    await sleep(1500);
    assert.is(acknowledged(), part);
    execFileSync('ip', ['link', 'set', 'lo', 'up']);
    await until('the entries that had to wait', () => acknowledged() >= 6 * part);
    server.signal('SIGSTOP');
    journal.append(numbered('entry', 4 * part, 6 * part));
    await sleep(1500);
    assert.ok(peakMemory(agent.pid) < 200, `${peakMemory(agent.pid)} MiB`);
    assert.is(acknowledged(), 6 * part);
    assert.is(await agent.stop(40), 0);
    server.signal('SIGCONT');
    await journal.close();
    startAgent();
    await assertStored(protocol, 10 * part, 2);
  });
}

hang.run();
