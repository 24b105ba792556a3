// Protocols: relp, relp+tls, journal+http, journal+https, syslog+tcp, syslog+tls
import { existsSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { configure, forgetState, savedCursor, startAgent, untilState } from './support/agent.ts';
import { guestTls, makeCertificates, serverName } from './support/certificates.ts';
import { LiveJournal, clearJournal, journalField, numbered, writeJournal } from './support/journal.ts';
import { endAll } from './support/program.ts';
import { type Acknowledging, acknowledging as cases } from './support/acknowledging.ts';
import { clearRemote } from './support/remote.ts';
import { clearStored, startRsyslog, storedEntries } from './support/rsyslog.ts';
import { sleep, until } from './support/until.ts';
import { enterNamespaces } from './support/namespaces.ts';

await enterNamespaces(import.meta.filename);

/** The agent or the server is killed repeatedly during transmission. Afterwards, every entry must be stored. */
const crash = suite('wire: kill -9');

crash.before(makeCertificates);
crash.before.each(() => {
  clearJournal();
  clearStored();
  clearRemote();
  forgetState();
});
crash.after.each(endAll);

const count = 30_000;
const kills = 3;

function begin({ forward }: Acknowledging): void {
  configure({ FORWARD: forward, ...guestTls });
  writeJournal(numbered('entry', count));
}

/** Asserts that every entry is stored, and that at most one window of entries is repeated per crash. */
async function assertAll({ stored, window }: Acknowledging, crashes: number): Promise<void> {
  const last = `entry ${count - 1}`;
  await until('the last entry', () => stored().includes(last), 60);
  const texts = stored();
  assert.equal([...new Set(texts)].sort(), journalField('MESSAGE').sort());
  const repeated = texts.length - count;
  assert.ok(repeated <= crashes * window, `${repeated} repeated after ${crashes} crashes`);
}

for (const each of cases) {
  crash(`${each.forward}: the agent is killed ${kills} times`, async () => {
    begin(each);
    await each.server();
    let crashes = 0;
    for (; crashes < kills; crashes += 1) {
      const agent = startAgent();
      await untilState('connected');
      await sleep(30 + Math.random() * 200);
      await agent.kill();
    }
    startAgent();
    await assertAll(each, crashes);
  });
}

for (const each of cases) {
  crash(`${each.forward}: the server is killed ${kills} times`, async () => {
    begin(each);
    let server = await each.server();
    startAgent();
    for (let crashes = 0; crashes < kills; crashes += 1) {
      await untilState('connected');
      await sleep(30 + Math.random() * 200);
      await server.kill();
      server = await each.server();
    }
    await assertAll(each, kills);
  });
}

for (const [scheme, configuration, port] of [
  ['syslog+tcp', 'rsyslog-syslog.conf', 601],
  ['syslog+tls', 'rsyslog-syslog-tls.conf', 6514],
] as const) {
  crash(
    `${scheme}: the server is killed between single entries: the entries of the last second are sent again`,
    async () => {
      configure({ FORWARD: `${scheme}://${serverName}`, ...guestTls });
      const server = await startRsyslog(configuration, port);
      startAgent();
      await untilState('connected');
      const journal = new LiveJournal();
      const appendSlowly = async (from: number) => {
        for (let n = from; n < from + 60; n += 1) {
          journal.append(numbered('entry', 1, n));
          await sleep(15);
        }
      };
      const texts = () => storedEntries().map(({ text }) => text);
      await appendSlowly(0);
      // The server has received the last entry, but the agent counts it as acknowledged only after a second.
      await until('the first 60 entries', () => texts().includes('entry 59'));
      await server.kill();
      await appendSlowly(60);
      await startRsyslog(configuration, port);
      await untilState('connected');
      await appendSlowly(120);
      await until('the last', () => texts().includes('entry 179'));
      assert.equal([...new Set(texts())].sort(), journalField('MESSAGE').sort());
      const repeated = texts().length - 180;
      assert.ok(repeated > 0 && repeated <= 120, `${repeated} repeated`);
    },
  );
}

crash('the saved cursor is never ahead of the server', async () => {
  const [each] = cases;
  if (each === undefined) return;
  begin(each);
  await each.server();
  for (let round = 0; round < 5; round += 1) {
    const agent = startAgent();
    await untilState('connected');
    await until('a saved cursor', () => existsSync('/run/immutafs/forward/cursor'));
    await sleep(150 + Math.random() * 200);
    await agent.kill();
    const saved = savedCursor();
    assert.ok(storedEntries().some(({ data }) => data['cursor'] === saved));
  }
});

crash.run();
