import path from 'node:path';
import type { Host } from '../host.ts';
import { errorCode } from '../errors.ts';
import type { Mount } from './mountinfo.ts';

export interface Disk {
  /** Kernel name: vda, sdb. */
  name: string;
  bus: string;
  /** The block device's own flag (/sys/block/NAME/ro); root in the guest can set it. */
  readOnly: boolean;
  /** The device's own word that the host made it read-only; null where it gives none. */
  hostReadOnly: boolean | null;
  /** What says so. */
  evidence: string;
  /** Where file systems on it are mounted. */
  holds: string[];
}

/** VIRTIO_BLK_F_RO (Virtio 1.2, 5.2.3); /sys/bus/virtio/devices/N/features has the bits, 0 first. */
const VIRTIO_BLK_F_RO = 5;

/**
 * The disks under the mounted file systems, through partitions and through device-mapper and md stacks.
 * A file system without a block device (tmpfs, overlay, NFS) has none.
 */
export function findDisks(host: Host, mounts: readonly Mount[]): Disk[] {
  const disks = new Map<string, Disk>();
  const leavesOf = new Map<string, string[]>();
  for (const mount of mounts) {
    const node = blockNode(host, mount);
    if (node === undefined) continue;
    const leaves = leavesOf.get(node) ?? findLeaves(host, node);
    leavesOf.set(node, leaves);
    for (const leaf of leaves) {
      const disk = disks.get(leaf) ?? describe(host, leaf);
      disks.set(leaf, disk);
      if (!disk.holds.includes(mount.target)) disk.holds.push(mount.target);
    }
  }
  return [...disks.values()].sort((a, b) => a.name.localeCompare(b.name));
}

/** The device's folder in sysfs. Btrfs has an anonymous device number (0:N): its source names the device. */
function blockNode(host: Host, mount: Mount): string | undefined {
  if (!mount.device.startsWith('0:')) return resolveIfThere(host, `/sys/dev/block/${mount.device}`);
  if (mount.type !== 'btrfs' || !mount.source.startsWith('/dev/')) return undefined;
  return resolveIfThere(host, `/sys/class/block/${path.basename(host.resolve(mount.source))}`);
}

function resolveIfThere(host: Host, file: string): string | undefined {
  try {
    return host.resolve(file);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function findLeaves(host: Host, node: string): string[] {
  if (host.stat(`${node}/partition`)) return findLeaves(host, path.dirname(node));
  const slaves = host.stat(`${node}/slaves`) ? host.list(`${node}/slaves`) : [];
  if (slaves.length === 0) return [node];
  const leaves = slaves.flatMap((slave) => findLeaves(host, host.resolve(`${node}/slaves/${slave}`)));
  return [...new Set(leaves)];
}

function describe(host: Host, node: string): Disk {
  const name = path.basename(node);
  const bus = busOf(node, name);
  const flag = host.read(`${node}/ro`).trim() === '1';
  if (bus === 'virtio-blk') {
    const offered = host.read(`${node}/device/features`).charAt(VIRTIO_BLK_F_RO) === '1';
    const evidence = `virtio feature VIRTIO_BLK_F_RO ${offered ? 'offered' : 'not offered'} by the host`;
    return { name, bus, readOnly: flag || offered, hostReadOnly: offered, evidence, holds: [] };
  }
  const evidence = flag
    ? 'only the block-device flag, which root in the guest can set'
    : 'the block device is writable';
  return { name, bus, readOnly: flag, hostReadOnly: flag ? null : false, evidence, holds: [] };
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
