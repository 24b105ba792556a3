import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SystemError } from '../../../agent/lib/errors.ts';
import { verifyKernelFile } from '../../../agent/system/kernel-files.ts';
import { systemReader } from '../../../agent/system/reader.ts';

const refused = (action: () => unknown, said: RegExp) =>
  assert.throws(action, (error: unknown) => error instanceof SystemError && said.test(error.message));

const files = suite('verifyKernelFile');
files('accepts procfs and sysfs', () => {
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
files('accepts cgroups, where systemd mounts them', () => {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  const directories = mounts.flatMap((line) => /^\S+ (\/sys\/fs\/cgroup\S*) cgroup2? /.exec(line)?.[1] ?? []);
  assert.ok(directories.length > 0);
  for (const directory of directories) verifyKernelFile(`${directory}/cgroup.procs`);
});
files('does not check paths outside /proc and /sys', () => {
  verifyKernelFile('/none');
  verifyKernelFile('/process/x');
  verifyKernelFile('/sysx');
});
files('rejects a link out of procfs', () => {
  refused(
    () => verifyKernelFile('/proc/self/exe'),
    /^\/proc\/self\/exe: not the kernel's procfs but another/,
  );
  refused(() => systemReader().read('/proc/self/root/etc/hostname'), /not the kernel's procfs/);
  refused(() => systemReader().list('/proc/self/root/etc'), /not the kernel's procfs/);
  refused(() => systemReader().link('/proc/self/root/proc/self/../../etc/mtab'), /not the kernel's procfs/);
});
files.run();
