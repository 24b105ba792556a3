import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { hasFileTypes } from '../../../../agent/prepare/steps/xfs.ts';
import { systemReader } from '../../../../agent/system/reader.ts';
import { inTemporaryDirectory, writeFiles } from '../../../harness/temporary.ts';

const xfs = suite('hasFileTypes');
for (const [options, expected] of [
  [[], true],
  [['-m', 'crc=0', '-n', 'ftype=0'], false],
  [['-m', 'crc=0', '-n', 'ftype=1'], true],
] as const) {
  xfs(`mkfs.xfs ${options.join(' ')}`, () =>
    inTemporaryDirectory((folder) => {
      const file = path.join(folder, 'disk');
      fs.writeFileSync(file, '');
      fs.truncateSync(file, 320 * 1024 * 1024);
      execFileSync('mkfs.xfs', ['-q', ...options, file], { stdio: ['ignore', 'ignore', 'ignore'] });
      assert.is(hasFileTypes(systemReader({ root: folder }), '/disk'), expected);
    }),
  );
}
xfs('no XFS, a device that is too short, and no device', () =>
  inTemporaryDirectory((folder) => {
    writeFiles(folder, { other: 'x'.repeat(1024), short: 'XFSB' });
    for (const name of ['/other', '/short', '/none']) {
      assert.is(hasFileTypes(systemReader({ root: folder }), name), undefined, name);
    }
  }),
);
xfs.run();
