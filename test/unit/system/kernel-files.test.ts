import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { HostError } from '../../../agent/lib/errors.ts';
import { runChild } from '../../../agent/system/child.ts';
import { verifyKernelFile } from '../../../agent/system/kernel-files.ts';
import { readKernelLog } from '../../../agent/system/kernel-log.ts';
import { systemReader } from '../../../agent/system/reader.ts';
import { inTemporaryFolder } from '../../harness/temporary.ts';

const refused = (action: () => unknown, said: RegExp) =>
  assert.throws(action, (error: unknown) => error instanceof HostError && said.test(error.message));

const files = suite('files of the kernel');
files('procfs and sysfs are believed', () => {
  for (const file of [
    '/proc/self/mountinfo',
    '/proc',
    '/sys',
    '/sys/block',
    '/proc/sys/kernel/random/boot_id',
  ]) {
    verifyKernelFile(file);
  }
});
files('what is elsewhere is not asked about', () => {
  verifyKernelFile('/none');
  verifyKernelFile('/process/x');
  verifyKernelFile('/sysx');
});
files('a link out of procfs is not its file', () => {
  refused(
    () => verifyKernelFile('/proc/self/exe'),
    /^\/proc\/self\/exe: not the kernel's procfs but another/,
  );
  refused(() => systemReader().read('/proc/self/root/etc/hostname'), /not the kernel's procfs/);
  refused(() => systemReader().list('/proc/self/root/etc'), /not the kernel's procfs/);
  refused(() => systemReader().link('/proc/self/root/proc/self/../../etc/mtab'), /not the kernel's procfs/);
});
files.run();

const log = suite('the log of the kernel');
log('another file is not it', () => {
  inTemporaryFolder((root) => {
    const file = path.join(root, 'kmsg');
    fs.writeFileSync(file, '5,1,2,-;sd 2:0:0:0: [sda] Write Protect is on\n');
    refused(() => readKernelLog(file), /not the kernel's log device/);
    refused(() => readKernelLog('/dev/null'), /not the kernel's log device/);
  });
});
if (process.getuid?.() === 0 && fs.existsSync('/dev/kmsg')) {
  log('records, the oldest first', () => {
    const numbers = readKernelLog().map((record) => Number(/^\d+,(\d+),/.exec(record)?.[1]));
    assert.ok(numbers.length > 0);
    assert.equal(
      numbers,
      numbers.toSorted((a, b) => a - b),
    );
  });
}
log.run();

const child = suite('child processes');
child('what it printed, and whether it ended well', async () => {
  assert.equal(await runChild('/bin/echo', ['a  b'], 5000), { stdout: 'a  b\n', ended: 'good' });
  assert.equal(await runChild('/bin/false', [], 5000), { stdout: '', ended: 'bad' });
});
child('left behind at the deadline, with what it had printed', async () => {
  const began = performance.now();
  const ended = await runChild('/bin/sh', ['-c', 'echo early; exec sleep 60'], 300);
  assert.equal(ended, { stdout: 'early\n', ended: 'deadline' });
  assert.ok(performance.now() - began < 3000);
});
child('one that cannot be started is an error', async () => {
  try {
    await runChild('/none', [], 5000);
    assert.unreachable();
  } catch (error) {
    assert.instance(error, HostError);
    assert.is((error as HostError).code, 'ENOENT');
  }
});
child('no environment but its own', async () => {
  process.env['IMMUTAFS_TEST'] = 'x';
  const { stdout } = await runChild('/usr/bin/env', [], 5000);
  assert.equal(stdout.trim().split('\n').sort(), ['LC_ALL=C', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin']);
});
child.run();
