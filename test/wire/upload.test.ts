// Protocols: journal+http, journal+https
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { build } from '../../packaging/build/build.ts';
import { executable } from '../../packaging/build/paths.ts';
import { refusedText } from '../../agent/forward/pipeline/session.ts';
import { configure, forgetState, forwardState, startAgent } from './support/agent.ts';
import { guestTls, makeCertificates, serverName } from './support/certificates.ts';
import { clearJournal, exportEntry, journalField, numbered, writeJournal } from './support/journal.ts';
import { logFields, logLines, startJournald } from './support/journald.ts';
import { endAll, peakMemory, start } from './support/program.ts';
import { bareEntries, clearRemote, startRemote, storedExport, storedField } from './support/remote.ts';
import { until } from './support/until.ts';
import { enterNamespaces } from './support/namespaces.ts';

await enterNamespaces(import.meta.filename);

const upload = suite('wire: journal upload');

upload.before(makeCertificates);
upload.before.each(() => {
  clearJournal();
  clearRemote();
  forgetState();
});
upload.after.each(endAll);

const journal = () =>
  execFileSync('journalctl', ['-q', '--no-pager', '-o', 'export'], { maxBuffer: 1024 ** 3 });

upload('as shipped, forwards a backlog in little memory', async () => {
  const count = 150_000;
  await build();
  configure({ FORWARD: 'journal+http://127.0.0.1:19532' });
  writeJournal(numbered('entry', count));
  await startRemote('http');
  const agent = start(executable, ['forward']);
  await until('everything acknowledged', () => forwardState()?.counts.acknowledged === count, 60);
  const memory = peakMemory(agent.pid);
  await agent.stop();
  // It is 76 MiB, and 100 MiB if V8 alone decides when to collect garbage.
  assert.ok(memory < 88, `${memory} MiB`);
});

for (const scheme of ['http', 'https'] as const) {
  upload(`${scheme}: a field of 64 MiB arrives completely, in bounded memory`, async () => {
    configure({ FORWARD: `journal+${scheme}://${serverName}`, ...guestTls });
    writeJournal(
      Buffer.concat([
        numbered('before', 10),
        exportEntry({ MESSAGE: 'large', LARGE: randomBytes(64 * 1024 * 1024) }),
        numbered('after', 10),
      ]),
    );
    await startRemote(scheme);
    const agent = startAgent();
    await until('everything acknowledged', () => forwardState()?.counts.acknowledged === 21);
    const memory = peakMemory(agent.pid);
    await agent.stop();
    assert.equal(bareEntries(storedExport()), bareEntries(journal()));
    assert.ok(memory < 200, `${memory} MiB`);
  });

  upload(
    `${scheme}: an entry of more than 1024 fields is replaced by a notice, and the entries around it arrive`,
    async () => {
      configure({ FORWARD: `journal+${scheme}://${serverName}:19532`, ...guestTls });
      await startJournald();
      logLines(Array.from({ length: 500 }, (_, n) => `before ${n}`));
      logFields(['MESSAGE=poison', ...Array.from({ length: 1020 }, (_, n) => `FIELD_${n}=${n}`)]);
      logLines(Array.from({ length: 500 }, (_, n) => `after ${n}`));
      execFileSync('journalctl', ['--sync']);
      await startRemote(scheme);
      const agent = startAgent();
      await until('the end', () => storedField('MESSAGE').includes('after 499'), 60);
      await agent.stop();
      const stored = storedField('MESSAGE');
      const wanted = journalField('MESSAGE');
      assert.equal(
        wanted.filter((text) => text !== 'poison' && !stored.includes(text)),
        [],
      );
      const notices = stored.filter((text) => new RegExp(refusedText('s=\\S+')).test(text));
      assert.is(notices.length, 1);
      assert.is(forwardState()?.counts.refused, 1);
      const repeated = stored.length - new Set(stored).size;
      assert.ok(repeated <= 600, `${repeated} repeated`);
    },
  );
}

upload.run();
