// Protocols: journal+http, journal+https
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { configure, forgetState, forwardState, savedCursor, startAgent } from '../support/agent.ts';
import { guestTls, makeCertificates, serverName } from '../support/certificates.ts';
import { clearJournal, exportEntry, numbered, writeJournal } from '../support/journal.ts';
import { enterNamespaces } from '../support/namespaces.ts';
import { endAll } from '../support/program.ts';
import { bareEntries, clearRemote, startRemote, storedExport } from '../support/remote.ts';
import { until } from '../support/until.ts';

await enterNamespaces(import.meta.filename);

const upload = suite('wire, smoke: journal upload');

upload.before(makeCertificates);
upload.before.each(() => {
  clearJournal();
  clearRemote();
  forgetState();
});
upload.after.each(endAll);

for (const scheme of ['http', 'https'] as const) {
  upload(
    `journal+${scheme}: every byte arrives: NUL, line feeds, invalid UTF-8, repeated fields`,
    async () => {
      configure({ FORWARD: `journal+${scheme}://${serverName}:19532`, ...guestTls });
      writeJournal(
        Buffer.concat([
          numbered('before', 3000),
          exportEntry({ MESSAGE: Buffer.from('a\0b\n\nc=d\n__CURSOR=no\n\n') }),
          exportEntry({ MESSAGE: Buffer.from([0xff, 0xfe, 0x80, 0x0a]), EMPTY: '', SIGN: '=' }),
          exportEntry({ MESSAGE: 'repeated', REPEATED: ['one', 'two', Buffer.from('thr\nee')] }),
          exportEntry({ MESSAGE: 'bytes', BYTES: randomBytes(300_000) }),
          numbered('after', 3000),
        ]),
      );
      await startRemote(scheme);
      const agent = startAgent();
      await until('everything acknowledged', () => forwardState()?.counts.acknowledged === 6004);
      assert.is(await agent.stop(), 0);
      const sent = execFileSync('journalctl', ['-q', '--no-pager', '-o', 'export'], {
        maxBuffer: 1024 ** 3,
      });
      assert.equal(bareEntries(storedExport()), bareEntries(sent));
      assert.is(savedCursor(), sent.toString('latin1').split('__CURSOR=').at(-1)?.split('\n')[0]);
    },
  );
}

upload.run();
