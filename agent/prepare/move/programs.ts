import type { SystemReader } from '../../system/reader.ts';
import { installHint } from '../engine/install-hint.ts';

const always = [
  ['rsync', '/usr/bin/rsync'],
  ['findutils', '/usr/bin/find'],
  ['e2fsprogs', '/usr/bin/lsattr'],
  ['util-linux', '/usr/bin/flock'],
  ['util-linux', '/usr/sbin/blkid'],
] as const;

const forWholeDisk = [
  ['util-linux', '/usr/sbin/wipefs'],
  ['parted', '/usr/sbin/parted'],
  ['xfsprogs', '/usr/sbin/mkfs.xfs'],
] as const;

/**
 * Returns the programs that a move needs and that are not installed, one sentence each.
 * @param isWholeDisk whether the move partitions and formats a disk
 */
export function missingPrograms(reader: SystemReader, isWholeDisk: boolean): string[] {
  return [...always, ...(isWholeDisk ? forWholeDisk : [])]
    .filter(([, program]) => reader.stat(program) === undefined)
    .map(([name, program]) => `${program} is missing: ${installHint(reader, name)}.`);
}
