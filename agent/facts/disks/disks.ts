import path from 'node:path';
import type { SystemReader } from '../../system/reader.ts';
import { fileSystemNodes, findLeaves, nodeOfMount } from './block.ts';
import { type Evidence, findEvidence } from './evidence.ts';
import type { Mount } from '../mounts/mountinfo.ts';

export interface Disk extends Evidence {
  /** Kernel name: vda, sdb. */
  name: string;
  bus: string;
  /** The mount points of the file systems on the disk. */
  holds: string[];
}

/**
 * Finds the disks below the mounted file systems, through partitions and stacks of devices.
 * @param lastEvidence returns the evidence for a disk, by name, in the last report of this boot
 */
export function findDisks(
  reader: SystemReader,
  mounts: readonly Mount[],
  lastEvidence: (name: string) => Evidence | undefined = () => undefined,
): Disk[] {
  const holds = new Map<string, Set<string>>();
  for (const { leaves, targets } of devices(reader, mounts)) {
    for (const leaf of leaves) {
      const held = holds.get(leaf) ?? new Set();
      for (const target of targets) held.add(target);
      holds.set(leaf, held);
    }
  }
  return [...holds]
    .map(([node, held]) => ({ ...describeDisk(reader, node, lastEvidence), holds: [...held] }))
    .sort((a, b) => a.name.localeCompare(b.name));
}

/** Describes a disk except for its mount points. @param node the sysfs folder of the disk */
export function describeDisk(
  reader: SystemReader,
  node: string,
  lastEvidence: (name: string) => Evidence | undefined,
): Omit<Disk, 'holds'> {
  const name = path.basename(node);
  const bus = busOf(node, name);
  return { name, bus, ...findEvidence(reader, node, bus, lastEvidence) };
}

/** Returns the disks and mount points of each mounted device; several mounts of the same device form one element. */
function devices(reader: SystemReader, mounts: readonly Mount[]): { leaves: string[]; targets: string[] }[] {
  const byDevice = Map.groupBy(mounts, ({ device, type, source }) =>
    device.startsWith('0:') ? (type === 'btrfs' ? source : '') : device,
  );
  byDevice.delete('');
  return [...byDevice.values()].flatMap((group) => {
    const [first] = group;
    const node = first && nodeOfMount(reader, first);
    if (first === undefined || node === undefined) return [];
    const leaves = fileSystemNodes(reader, node, first.type).flatMap((each) => findLeaves(reader, each));
    return [{ leaves, targets: group.map(({ target }) => target) }];
  });
}

function busOf(node: string, name: string): string {
  if (/^vd[a-z]+$/.test(name) && /\/virtio\d+\//.test(node)) return 'virtio-blk';
  if (/\/virtio\d+\/host\d+\//.test(node)) return 'virtio-scsi';
  if (name.startsWith('nvme')) return 'nvme';
  if (name.startsWith('xvd')) return 'xen';
  if (/\/ata\d+\//.test(node)) return 'ata';
  if (/\/usb\d+\//.test(node)) return 'usb';
  if (/\/host\d+\//.test(node)) return 'scsi';
  return node.includes('/virtual/') ? 'virtual' : 'other';
}
