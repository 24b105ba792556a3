import path from 'node:path';
import { errorCode } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import { fileOfSource } from './device-file.ts';
import type { Mount } from '../mounts/mountinfo.ts';

/**
 * The folder in sysfs of the block device under a mount; undefined for a file system without one (tmpfs,
 * overlay, NFS). Btrfs has an anonymous device number (0:N): its source names the device.
 */
export function nodeOfMount(reader: SystemReader, { device, type, source }: Mount): string | undefined {
  if (!device.startsWith('0:')) return resolveIfThere(reader, `/sys/dev/block/${device}`);
  return type === 'btrfs' ? nodeOfSource(reader, source) : undefined;
}

/** All devices of the file system on one: a Btrfs may have more, of which mountinfo names one (btrfs-device(8)). */
export function fileSystemNodes(reader: SystemReader, node: string, type: string): string[] {
  if (type !== 'btrfs' || reader.stat(btrfsFolder) === undefined) return [node];
  const members = reader
    .list(btrfsFolder)
    .map((uuid) => `${btrfsFolder}/${uuid}/devices`)
    .filter((folder) => reader.stat(folder) !== undefined)
    .map((folder) => reader.list(folder).map((name) => reader.resolve(`${folder}/${name}`)))
    .find((nodes) => nodes.includes(node));
  return members ?? [node];
}

const btrfsFolder = '/sys/fs/btrfs';

/**
 * As nodeOfMount for a source as in fstab(5) without its escapes, or as in /proc/swaps; undefined where there is no
 * such device.
 */
export function nodeOfSource(reader: SystemReader, source: string): string | undefined {
  return nodeOfFile(reader, deviceFile(source));
}

/**
 * The same for a device file.
 * @param file a path, perhaps one of udev's links; undefined for what is no device
 */
export function nodeOfFile(reader: SystemReader, file: string | undefined): string | undefined {
  const resolved = file === undefined ? undefined : resolveIfThere(reader, file);
  if (resolved === undefined) return undefined;
  return resolveIfThere(reader, `/sys/class/block/${path.basename(resolved)}`);
}

/** "UUID=…" -> /dev/disk/by-uuid/…; undefined for what is no device: an NFS export, "tmpfs". */
export function deviceFile(source: string): string | undefined {
  return fileOfSource(Buffer.from(source).toString('latin1'));
}

function resolveIfThere(reader: SystemReader, file: string): string | undefined {
  try {
    return reader.resolve(file);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** The disks under a device: through partitions and through stacks of device-mapper, md and bcache. */
export function findLeaves(reader: SystemReader, node: string): string[] {
  const leaves = new Set<string>();
  const left = [node];
  const seen = new Set(left);
  for (let each = left.pop(); each !== undefined; each = left.pop()) {
    const below = devicesBelow(reader, each);
    if (below.length === 0) leaves.add(each);
    for (const next of below) {
      if (!seen.has(next)) left.push(next);
      seen.add(next);
    }
  }
  return [...leaves].sort();
}

/** What is directly below a device: the disk of a partition, the devices that a stack is made of. */
export function devicesBelow(reader: SystemReader, node: string): string[] {
  if (reader.stat(`${node}/partition`)) return [path.dirname(node)];
  const slaves = reader.stat(`${node}/slaves`) ? reader.list(`${node}/slaves`) : [];
  return slaves.map((slave) => reader.resolve(`${node}/slaves/${slave}`));
}
