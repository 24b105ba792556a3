/** Tests how libmount reads the lines of test/fixtures/fstab-lines.json. test/unit/boot/fstab.test.ts reads them for the boot. */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type FstabLineCase, fstabLines } from '../harness/fstab-lines.ts';
import { inTemporaryDirectory } from '../harness/temporary.ts';

const libmount = suite('libmount');
for (const { line, reading, fields } of fstabLines) {
  libmount(JSON.stringify(line), () => {
    const { printed, isRejected } = byFindmnt(line);
    assert.is(isRejected, reading === 'rejected');
    assert.equal(printed, fields);
  });
}
libmount.run();

/** Returns the fields that findmnt(8) prints for a line, with the redundant slashes of the target removed. */
function byFindmnt(line: string): { printed: FstabLineCase['fields']; isRejected: boolean } {
  return inTemporaryDirectory((folder) => {
    const file = path.join(folder, 'fstab');
    fs.writeFileSync(file, `${line}\n`, 'latin1');
    const args = ['--fstab', '--tab-file', file, '--pairs', '--output', 'SOURCE,TARGET,FSTYPE,OPTIONS'];
    const { stdout, stderr } = spawnSync('findmnt', args, { encoding: 'latin1', env: { LC_ALL: 'C' } });
    const isRejected = stderr.includes('parse error at line 1');
    if (stdout === '') return { printed: null, isRejected };
    const values = [...stdout.matchAll(/[A-Z]+="([^"]*)"/g)].map(([, value = '']) =>
      value.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16))),
    );
    const [source = '', target = '', type = '', options = ''] = values;
    const plain = target.replace(/\/+/g, '/').replace(/(.)\/$/, '$1');
    return { printed: [source, plain, type, options === '' ? 'defaults' : options], isRejected };
  });
}
