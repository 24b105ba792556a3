import type { DeviceReader } from '../../agent/facts/disks/block.ts';
import { SystemError, onFile, unlessAbsent } from '../../agent/lib/errors.ts';
import { differingTargetOf } from './device-mapper.ts';
import type { Native, Status } from './native.ts';

/** What the boot reads of the system, as the agent reads it with a SystemReader. */
export type BootReader = DeviceReader & Pick<Native, 'run' | 'status'> & { readAt: Native['read'] };

/** Files of sysfs and procfs have at most a page; /proc/sys/dev/cdrom/info grows with the number of drives. */
const mostBytes = 1024 * 1024;

export function bootReader(native: Native): BootReader {
  const read = (file: string) =>
    onFile(file, () => {
      const text = native.read(file, mostBytes + 1);
      if (text.length > mostBytes) throw new SystemError(`${file}: larger than ${mostBytes} bytes`, 'EFBIG');
      return text;
    });
  return {
    read,
    readIfPresent: (file) => unlessAbsent(() => read(file)),
    readAt: (file, limit, offset) => onFile(file, () => native.read(file, limit, offset)),
    list: (directory) => onFile(directory, () => native.list(directory).sort()),
    resolve: (file) => onFile(file, () => native.resolve(file)),
    stat: (file) => onFile(file, () => native.mode(file)),
    status: (file) => onFile(file, () => native.status(file)),
    run: native.run,
    deviceTables: () => ({ get: (device) => differingTargetOf(native, device) }),
  };
}

const hasType = (type: number) => (status: Status | undefined) =>
  status !== undefined && (status.mode & 0o170000) === type;

/** Whether the status is that of a file of this type (inode(7)). */
export const isRegular = hasType(0o100000);
export const isDirectory = hasType(0o040000);
export const isBlock = hasType(0o060000);
