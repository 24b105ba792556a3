import fs from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseReport, readLastReport } from '../../../agent/facts/last-report.ts';
import { systemReader } from '../../../agent/system/reader.ts';
import { inTemporaryDirectory, writeFiles } from '../../harness/temporary.ts';

const lastReport = suite('the last report');
lastReport('any JSON: parsed, or an error that names the field', () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      try {
        parseReport(text);
      } catch (error) {
        assert.match((error as Error).message, /^\/run\/immutafs\/report\.json: \w+ is (missing|not a \w+)$/);
      }
    }),
  );
});
const nothing = () => undefined;
const makeLink = (file: string) => {
  fs.renameSync(file, `${file}.other`);
  fs.symlinkSync(`${file}.other`, file);
};
const minimal = (bootId: string) =>
  JSON.stringify({ at: 'x', host: { bootId }, verdict: 'sealed', checks: [], disks: [] });
for (const [title, change, bootId, expected] of [
  ['of this boot, writable only by root', nothing, 'a', 'read'],
  ['of another boot', nothing, 'b', 'ignored'],
  ['of an unknown boot', nothing, '', 'ignored'],
  [
    'of another user',
    (file: string) => fs.chownSync(file, 1000, 0),
    'a',
    /owned by user 1000, must be owned by root$/,
  ],
  [
    'writable by its group',
    (file: string) => fs.chmodSync(file, 0o664),
    'a',
    /users other than root may write/,
  ],
  [
    'writable by all users',
    (file: string) => fs.chmodSync(file, 0o646),
    'a',
    /users other than root may write/,
  ],
  ['a link', makeLink, 'a', /a symbolic link, not a regular file$/],
] as const) {
  lastReport(title, () => {
    inTemporaryDirectory((root) => {
      writeFiles(root, { 'run/immutafs/report.json': minimal(bootId === '' ? '' : 'a') });
      change(path.join(root, 'run/immutafs/report.json'));
      const read = () => readLastReport(systemReader({ root }), bootId);
      if (typeof expected === 'string') assert.is(read() === undefined, expected === 'ignored');
      else assert.throws(read, expected);
    });
  });
}
lastReport.run();
