import type { SystemReader } from '../../system/reader.ts';

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
 * Programs that moving /home runs, and that are not installed: a sentence each.
 * @param whole a disk is to be partitioned and formatted
 */
export function missingPrograms(reader: SystemReader, whole: boolean): string[] {
  return [...always, ...(whole ? forWholeDisk : [])]
    .filter(([, program]) => reader.stat(program) === undefined)
    .map(([name, program]) => `${program} is missing: install the package ${name}.`);
}
