import fs from 'node:fs';
import { SystemError } from '../lib/errors.ts';

/** The kernel's own file systems with f_type of statfs(2) (linux/magic.h). Paths below /sys come before /sys. */
const kernelFileSystems = [
  { path: '/sys/kernel/security', types: [0x73636673], name: 'securityfs' },
  { path: '/sys/firmware/efi/efivars', types: [0xde5e81e4], name: 'efivarfs' },
  { path: '/sys/fs/selinux', types: [0xf97cff8c], name: 'selinuxfs' },
  // Version 2, and version 1 of RHEL 7 and 8.
  { path: '/sys/fs/cgroup', types: [0x63677270, 0x27e0eb], name: 'cgroup' },
  { path: '/sys', types: [0x62656572], name: 'sysfs' },
  { path: '/proc', types: [0x9fa0], name: 'procfs' },
];

/**
 * Verifies that a file below /proc or /sys is on the kernel's own file system, not on another file system that was
 * mounted there. Other paths are not checked.
 * @throws SystemError if the file is on another file system; the system's error if the file does not exist
 */
export function verifyKernelFile(file: string): void {
  const found = kernelFileSystems.find(({ path }) => file.startsWith(`${path}/`) || file === path);
  if (found === undefined) return;
  const { type } = fs.statfsSync(file);
  // f_type is signed on some architectures.
  if (found.types.includes(type >>> 0)) return;
  throw new SystemError(
    `${file}: not the kernel's ${found.name} but another file system (type 0x${(type >>> 0).toString(16)})`,
  );
}
