import fs from 'node:fs';
import { HostError } from '../lib/errors.ts';

/** The kernel's own file systems with f_type of statfs(2) (linux/magic.h). Paths below /sys come before /sys. */
const kernelFileSystems = [
  { path: '/sys/kernel/security', magic: 0x73636673, name: 'securityfs' },
  { path: '/sys/firmware/efi/efivars', magic: 0xde5e81e4, name: 'efivarfs' },
  { path: '/sys/fs/selinux', magic: 0xf97cff8c, name: 'selinuxfs' },
  { path: '/sys', magic: 0x62656572, name: 'sysfs' },
  { path: '/proc', magic: 0x9fa0, name: 'procfs' },
];

/**
 * Verifies that a file below /proc or /sys is on the kernel's own file system, not on another file system that was
 * mounted there. Other paths are not checked.
 * @throws HostError if the file is on another file system; the system's error if the file does not exist
 */
export function verifyKernelFile(file: string): void {
  const found = kernelFileSystems.find(({ path }) => file.startsWith(`${path}/`) || file === path);
  if (found === undefined) return;
  const { type } = fs.statfsSync(file);
  // f_type is signed on some architectures.
  if (type >>> 0 === found.magic) return;
  throw new HostError(
    `${file}: not the kernel's ${found.name} but another file system (type 0x${(type >>> 0).toString(16)})`,
  );
}
