// Protocols: relp, relp+tls, journal+http, journal+https
import { execFileSync } from 'node:child_process';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { acknowledging } from './support/acknowledging.ts';
import { configure, forgetState, forwardState, startAgent } from './support/agent.ts';
import { guestTls, makeCertificates } from './support/certificates.ts';
import { LiveJournal, clearJournal, journalField, numbered } from './support/journal.ts';
import { endAll, peakMemory } from './support/program.ts';
import { clearRemote } from './support/remote.ts';
import { clearStored } from './support/rsyslog.ts';
import { sleep, until } from './support/until.ts';
import { enterNamespaces } from './support/namespaces.ts';

await enterNamespaces(import.meta.filename);

const hang = suite('wire: a server or network that hangs');
const count = 30_000;
/** How many entries are acknowledged before the server or the network hangs. */
const first = 2_000;

hang.before(makeCertificates);
hang.before.each(() => {
  clearJournal();
  clearStored();
  clearRemote();
  forgetState();
});
hang.after.each(async () => {
  execFileSync('ip', ['link', 'set', 'lo', 'up']);
  await endAll();
});

const acknowledged = () => forwardState()?.counts.acknowledged ?? 0;

for (const { forward, server: start, stored, window } of acknowledging) {
  const assertAll = async (repeats: number) => {
    await until('all entries', () => new Set(stored()).size >= count, 60);
    assert.equal([...new Set(stored())].sort(), journalField('MESSAGE').sort());
    assert.ok(stored().length - count <= repeats * window, `${stored().length - count} repeated`);
  };

  /**
   * Waits until the first entries are acknowledged before the caller appends others, so that the test does not depend
   * on the speed of the machine.
   */
  const begin = async (): Promise<LiveJournal> => {
    const journal = new LiveJournal();
    journal.append(numbered('entry', first));
    await until('the first entries', () => acknowledged() >= first);
    return journal;
  };

  hang(
    `${forward}: the server hangs: memory is bounded, the agent can be stopped, no entry is lost`,
    async () => {
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
      await assertAll(1);
    },
  );

  hang(`${forward}: every packet is dropped for 3 s: forwarding continues, no entry is lost`, async () => {
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
    await assertAll(1);
  });
}

hang.run();
