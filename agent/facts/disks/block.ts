import path from 'node:path';
import { errorCode } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import { deviceFile } from './device-file.ts';
import type { Mount } from '../mounts/mountinfo.ts';

/**
 * The folder in sysfs of the block device below a mount; undefined for a file system without one (tmpfs, overlay, NFS).
 * Btrfs has an anonymous device number (0:N), so its source names the device.
 */
export function nodeOfMount(reader: SystemReader, { device, type, source }: Mount): string | undefined {
  if (!device.startsWith('0:')) return resolveIfPresent(reader, `/sys/dev/block/${device}`);
  return type === 'btrfs' ? nodeOfSource(reader, source) : undefined;
}

/**
 * All devices of the file system on a device. mountinfo names one device of a Btrfs, which may have more
 * (btrfs-device(8)).
 */
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

/** The folder in sysfs of the device that a source names (deviceFile); undefined if the device does not exist. */
export function nodeOfSource(reader: SystemReader, source: string): string | undefined {
  return nodeOfFile(reader, deviceFile(source));
}

/**
 * The folder in sysfs of a device file, which may be a link of udev; undefined if the device does not exist.
 * @param file undefined for a source that is no device
 */
export function nodeOfFile(reader: SystemReader, file: string | undefined): string | undefined {
  const resolved = file === undefined ? undefined : resolveIfPresent(reader, file);
  if (resolved === undefined) return undefined;
  return resolveIfPresent(reader, `/sys/class/block/${path.basename(resolved)}`);
}

function resolveIfPresent(reader: SystemReader, file: string): string | undefined {
  try {
    return reader.resolve(file);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** The folders in sysfs of the disks below a device, through partitions and stacks of device-mapper, md and bcache. */
export function findLeaves(reader: SystemReader, node: string): string[] {
  const leaves = new Set<string>();
  const queue = [node];
  const queued = new Set(queue);
  for (let each = queue.pop(); each !== undefined; each = queue.pop()) {
    const below = devicesBelow(reader, each);
    if (below.length === 0) leaves.add(each);
    for (const next of below) {
      if (!queued.has(next)) queue.push(next);
      queued.add(next);
    }
  }
  return [...leaves].sort();
}

/** The devices directly below a device: the disk of a partition, or the members of a stack. */
export function devicesBelow(reader: SystemReader, node: string): string[] {
  if (reader.stat(`${node}/partition`)) return [path.dirname(node)];
  const slaves = reader.stat(`${node}/slaves`) ? reader.list(`${node}/slaves`) : [];
  return slaves.map((slave) => reader.resolve(`${node}/slaves/${slave}`));
}
