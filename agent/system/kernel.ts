import fs from 'node:fs';
import { SystemError, errorCode } from '../lib/errors.ts';
import { runSync } from './exec.ts';
import { whileOpen } from './files.ts';

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

/** makedev(1, 11): Documentation/admin-guide/devices.txt */
const kmsgDevice = 0x10b;
const mostRecords = 100_000;
const recordBytes = 32768;

/**
 * Reads the kernel's log buffer, beginning with the oldest record. Each read(2) returns one record
 * (Documentation/ABI/testing/dev-kmsg).
 * @throws SystemError if the file is not the kernel's log device; EPERM or EACCES without permission to read it
 */
export function readKernelLog(file = '/dev/kmsg'): string[] {
  return whileOpen(fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK), (fd) => {
    const stat = fs.fstatSync(fd);
    if (!stat.isCharacterDevice() || stat.rdev !== kmsgDevice)
      throw new SystemError(`${file}: not the kernel's log device`);
    return readRecords(fd);
  });
}

function readRecords(fd: number): string[] {
  const records: string[] = [];
  const buffer = Buffer.allocUnsafe(recordBytes);
  for (let reads = 0; reads < mostRecords; reads++) {
    try {
      const count = fs.readSync(fd, buffer);
      if (count === 0) return records;
      records.push(buffer.toString('latin1', 0, count));
    } catch (error) {
      // The record was overwritten before it was read. The next read returns the oldest record.
      if (errorCode(error) === 'EPIPE') continue;
      if (errorCode(error) === 'EAGAIN') return records;
      throw error;
    }
  }
  return records;
}

/** The program of the boot (boot/), which can read the tables of device-mapper devices. */
export const bootProgram = '/usr/libexec/immutafs/immutafs-boot';

/**
 * Reads the tables of all device-mapper devices in a child process, because Node.js has no ioctl(2) and sysfs does not
 * show the tables.
 * @returns by "major:minor": the type of the first target with which the content of the device may differ from that of
 *     the devices below it; an empty string if there is none
 * @throws SystemError if the tables cannot be read: EACCES without root's privileges
 */
export function readDeviceTables(program = bootProgram): ReadonlyMap<string, string> {
  const { exit, error, stdout } = runSync(program, ['tables'], { stdio: ['ignore', 'pipe', 'ignore'] });
  if (error !== undefined) throw error;
  const lines = stdout.split('\n');
  if ((exit !== 0 && exit !== 1) || lines.pop() !== '') {
    throw new SystemError('cannot read the tables of the device-mapper devices');
  }
  return new Map(
    lines.map((line) => {
      const [device = '', target = ''] = line.split(' ');
      return [device, target];
    }),
  );
}
