import path from 'node:path';
import { blockNodes, differingTarget, differsFromBelow, findLeaves } from '../../facts/disks/block.ts';
import { shortList } from '../../lib/format.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { Snapshot } from './snapshot.ts';

/**
 * The targets of device-mapper that map blocks by metadata of their own, which they write to the disk
 * (Documentation/admin-guide/device-mapper/), as messages show them.
 */
const writers: Readonly<Record<string, string>> = {
  thin: 'a thin volume',
  'thin-pool': 'a thin pool',
  cache: 'a cached volume',
  writecache: 'a cached volume',
  era: 'an era volume',
  vdo: 'a VDO volume',
};

/**
 * Returns why the guest would not count as sealed once the host makes the system disk read-only: a device on the disk has
 * content that does not follow from the disk alone (differsFromBelow). Undefined if there is none. The kernel's tables decide,
 * because names can be chosen.
 * @throws SystemError if the tables of device-mapper cannot be read
 */
export function unsealableDevices({ reader, systemDisks }: Snapshot): string | undefined {
  const disks = new Set(systemDisks.disks.map(({ name }) => name));
  const problems = blockNodes(reader).flatMap((node) => {
    const differs = differsFromBelow(reader, node);
    if (differs === undefined) return [];
    const target = differingTarget(reader, node) ?? '';
    const what = writers[target];
    // Other devices matter only below a file system that is to be sealed. Such a device is a disk of its own.
    const matters = what === undefined ? disks.has(path.basename(node)) : isOn(reader, node, disks);
    if (!matters) return [];
    return [what === undefined ? differs : `${shownName(reader, node)} is ${what} (target ${target})`];
  });
  if (problems.length === 0) return undefined;
  return `The system disk cannot be sealed: ${shortList(problems, '; ', 4)}. LVM thin pools, caches, VDO and Stratis write metadata of their own, which decides what a block contains, so that a guest on them never counts as sealed. Move the file systems to ordinary logical volumes or partitions, or to a data disk that stays writable, and remove these devices; then run prepare again.`;
}

function isOn(reader: SystemReader, node: string, disks: ReadonlySet<string>): boolean {
  return findLeaves(reader, node).some((leaf) => disks.has(path.basename(leaf)));
}

/** Returns "NAME (dm-4)"; Stratis is recognised by the UUID that stratisd gives its devices. */
function shownName(reader: SystemReader, node: string): string {
  const read = (file: string) => reader.readIfPresent(`${node}/dm/${file}`)?.trim() ?? '';
  const owner = read('uuid').startsWith('stratis-') ? 'Stratis, ' : '';
  const name = read('name');
  return name === '' ? path.basename(node) : `${name} (${owner}${path.basename(node)})`;
}
