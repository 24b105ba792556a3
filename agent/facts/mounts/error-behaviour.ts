import path from 'node:path';
import { decodeBytes } from '../../lib/format.ts';
import type { SystemReader } from '../../system/reader.ts';
import { nodeOfMount } from '../disks/sources.ts';
import type { MountTable } from './mountinfo.ts';

/**
 * Returns the mount points of the writable ext2, ext3 and ext4 file systems for which the kernel panics if it finds an
 * error. mountinfo shows errors=panic only if it differs from the default in the superblock, so the kernel's own list of
 * all options is read where there is one (/proc/fs/ext4, Documentation/filesystems/ext4.txt).
 */
export function findPanicking(reader: SystemReader, mounts: MountTable): string[] {
  const byDevice = Map.groupBy(
    mounts.all.filter(({ type, superOptions }) => /^ext[234]$/.test(type) && !superOptions.includes('ro')),
    ({ device }) => device,
  );
  return [...byDevice.values()].flatMap(([mount]) => {
    if (mount === undefined) return [];
    const node = nodeOfMount(reader, mount);
    const file = node === undefined ? undefined : `/proc/fs/ext4/${path.basename(node)}/options`;
    const text = file === undefined ? undefined : reader.readIfPresent(file, 65536);
    const options = text === undefined ? mount.superOptions : decodeBytes(text).split('\n');
    return options.includes('errors=panic') ? [mount.target] : [];
  });
}
