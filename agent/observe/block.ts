import path from 'node:path';
import { errorCode } from '../errors.ts';
import type { Host } from '../host.ts';
import { fileOfSource } from './device-file.ts';
import type { Mount } from './mountinfo.ts';

/**
 * The folder in sysfs of the block device under a mount; undefined for a file system without one (tmpfs,
 * overlay, NFS). Btrfs has an anonymous device number (0:N): its source names the device.
 */
export function nodeOfMount(host: Host, { device, type, source }: Mount): string | undefined {
  if (!device.startsWith('0:')) return resolveIfThere(host, `/sys/dev/block/${device}`);
  return type === 'btrfs' ? nodeOfSource(host, source) : undefined;
}

/** All devices of the file system on one: a Btrfs may have more, of which mountinfo names one (btrfs-device(8)). */
export function fileSystemNodes(host: Host, node: string, type: string): string[] {
  if (type !== 'btrfs' || host.stat(btrfsFolder) === undefined) return [node];
  const members = host
    .list(btrfsFolder)
    .map((uuid) => `${btrfsFolder}/${uuid}/devices`)
    .filter((folder) => host.stat(folder) !== undefined)
    .map((folder) => host.list(folder).map((name) => host.resolve(`${folder}/${name}`)))
    .find((nodes) => nodes.includes(node));
  return members ?? [node];
}

const btrfsFolder = '/sys/fs/btrfs';

/**
 * As nodeOfMount for a source as in fstab(5) without its escapes, or as in /proc/swaps; undefined where there is no
 * such device.
 */
export function nodeOfSource(host: Host, source: string): string | undefined {
  return nodeOfFile(host, deviceFile(source));
}

/**
 * The same for a device file.
 * @param file a path, perhaps one of udev's links; undefined for what is no device
 */
export function nodeOfFile(host: Host, file: string | undefined): string | undefined {
  const resolved = file === undefined ? undefined : resolveIfThere(host, file);
  if (resolved === undefined) return undefined;
  return resolveIfThere(host, `/sys/class/block/${path.basename(resolved)}`);
}

/** "UUID=…" -> /dev/disk/by-uuid/…; undefined for what is no device: an NFS export, "tmpfs". */
export function deviceFile(source: string): string | undefined {
  return fileOfSource(Buffer.from(source).toString('latin1'));
}

function resolveIfThere(host: Host, file: string): string | undefined {
  try {
    return host.resolve(file);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** The disks under a device: through partitions and through stacks of device-mapper, md and bcache. */
export function findLeaves(host: Host, node: string): string[] {
  const leaves = new Set<string>();
  const left = [node];
  const seen = new Set(left);
  for (let each = left.pop(); each !== undefined; each = left.pop()) {
    const below = devicesBelow(host, each);
    if (below.length === 0) leaves.add(each);
    for (const next of below) {
      if (!seen.has(next)) left.push(next);
      seen.add(next);
    }
  }
  return [...leaves].sort();
}

/** What is directly below a device: the disk of a partition, the devices that a stack is made of. */
export function devicesBelow(host: Host, node: string): string[] {
  if (host.stat(`${node}/partition`)) return [path.dirname(node)];
  const slaves = host.stat(`${node}/slaves`) ? host.list(`${node}/slaves`) : [];
  return slaves.map((slave) => host.resolve(`${node}/slaves/${slave}`));
}
