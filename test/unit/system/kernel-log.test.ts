import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SystemError } from '../../../agent/lib/errors.ts';
import { readKernelLog } from '../../../agent/system/kernel-log.ts';
import { inTemporaryDirectory } from '../../harness/temporary.ts';

const refused = (action: () => unknown, said: RegExp) =>
  assert.throws(action, (error: unknown) => error instanceof SystemError && said.test(error.message));

const log = suite('readKernelLog');
log('rejects other files', () => {
  inTemporaryDirectory((root) => {
    const file = path.join(root, 'kmsg');
    fs.writeFileSync(file, '5,1,2,-;sd 2:0:0:0: [sda] Write Protect is on\n');
    refused(() => readKernelLog(file), /not the kernel's log device/);
    refused(() => readKernelLog('/dev/null'), /not the kernel's log device/);
  });
});
if (process.getuid?.() === 0 && fs.existsSync('/dev/kmsg')) {
  log('returns records, the oldest first', () => {
    const numbers = readKernelLog().map((record) => Number(/^\d+,(\d+),/.exec(record)?.[1]));
    assert.ok(numbers.length > 0);
    assert.equal(
      numbers,
      numbers.toSorted((a, b) => a - b),
    );
  });
}
log.run();
