import { execFileSync } from 'node:child_process';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { acknowledging } from './support/acknowledging.ts';
import { configure, forgetState, forwardState, startAgent } from './support/agent.ts';
import { guestTls, makeCertificates } from './support/certificates.ts';
import { clearJournal, journalField, numbered, writeJournal } from './support/journal.ts';
import { endAll, peakMemory } from './support/program.ts';
import { clearRemote } from './support/remote.ts';
import { clearStored } from './support/rsyslog.ts';
import { sleep, until } from './support/until.ts';
import { enterWorld } from './support/world.ts';

enterWorld(import.meta.filename);

const hang = suite('wire: nothing comes back');
const count = 30_000;

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
    await until('all of them', () => new Set(stored()).size >= count, 60);
    assert.equal([...new Set(stored())].sort(), journalField('MESSAGE').sort());
    assert.ok(stored().length - count <= repeats * window, `${stored().length - count} repeated`);
  };

  hang(
    `${forward}: the server stops: memory is bounded, the agent can be stopped, nothing is lost`,
    async () => {
      configure({ FORWARD: forward, ...guestTls });
      writeJournal(numbered('entry', count));
      const server = await start();
      const agent = startAgent();
      await until('some entries', () => acknowledged() > 1000);
      server.signal('SIGSTOP');
      await sleep(3000);
      assert.ok(peakMemory(agent.pid) < 200, `${peakMemory(agent.pid)} MiB`);
      assert.ok(acknowledged() < count, 'it was too quick to be stopped');
      assert.is(await agent.stop(40), 0);
      server.signal('SIGCONT');
      startAgent();
      await assertAll(1);
    },
  );

  hang(`${forward}: every packet is dropped for a while: it goes on, nothing is lost`, async () => {
    configure({ FORWARD: forward, ...guestTls });
    writeJournal(numbered('entry', count));
    await start();
    startAgent();
    await until('some entries', () => acknowledged() > 1000);
    execFileSync('ip', ['link', 'set', 'lo', 'down']);
    await sleep(2000);
    const meanwhile = acknowledged();
    assert.ok(meanwhile < count, 'it was too quick to be stopped');
    await sleep(1000);
    assert.is(acknowledged(), meanwhile);
    execFileSync('ip', ['link', 'set', 'lo', 'up']);
    await assertAll(1);
  });
}

hang.run();
