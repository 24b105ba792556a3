import path from 'node:path';
import { SystemError, hasCode, unless } from '../../lib/errors.ts';
import { type SystemReader, namesIfThere } from '../../system/reader.ts';
import { deviceFile } from './tags.ts';
import type { Mount } from '../mounts/mountinfo.ts';

/**
 * Returns the sysfs directory of the block device of a mount; undefined for a file system without a block device (tmpfs,
 * overlay, NFS). A Btrfs has an anonymous device number (0:N), so the source of the mount determines the device.
 */
export function nodeOfMount(reader: SystemReader, { device, type, source }: Mount): string | undefined {
  if (!device.startsWith('0:')) return resolveIfPresent(reader, `/sys/dev/block/${device}`);
  return type === 'btrfs' ? nodeOfSource(reader, source) : undefined;
}

/** Returns the sysfs directories of the devices of each mounted Btrfs (Documentation/ABI, /sys/fs/btrfs). */
export function btrfsDevices(reader: SystemReader): string[][] {
  return namesIfThere(reader, '/sys/fs/btrfs')
    .map((uuid) => `/sys/fs/btrfs/${uuid}/devices`)
    .filter((directory) => reader.stat(directory) !== undefined)
    .map((directory) => reader.list(directory).map((name) => `${directory}/${name}`));
}

/**
 * Returns the sysfs directories of all devices of the file system on a device. mountinfo names only one device of a Btrfs,
 * which may have several (btrfs-device(8)).
 */
export function fileSystemNodes(reader: SystemReader, node: string, type: string): string[] {
  const members = type === 'btrfs' ? btrfsDevices(reader) : [];
  return members.map((nodes) => nodes.map(reader.resolve)).find((nodes) => nodes.includes(node)) ?? [node];
}

/** Returns the sysfs directory of the device that a source names; undefined if the device does not exist. */
export function nodeOfSource(reader: SystemReader, source: string): string | undefined {
  return nodeOfFile(reader, deviceFile(source));
}

/**
 * Returns the sysfs directory of a device file or of a udev link to it; undefined if the device does not exist.
 * @param file undefined for a source that is not a device
 */
export function nodeOfFile(reader: SystemReader, file: string | undefined): string | undefined {
  const resolved = file === undefined ? undefined : resolveIfPresent(reader, file);
  if (resolved === undefined) return undefined;
  return resolveIfPresent(reader, `${directory}/${path.basename(resolved)}`);
}

const directory = '/sys/class/block';

/**
 * Returns the sysfs directories of all block devices, without those that are unplugged meanwhile.
 * @throws SystemError if there are more devices than `maximum`
 */
export function blockNodes(reader: SystemReader, maximum = Infinity): string[] {
  const names = namesIfThere(reader, directory);
  if (names.length > maximum) throw new SystemError(`${directory}: more than ${maximum} devices`);
  return names.flatMap((name) => resolveIfPresent(reader, `${directory}/${name}`) ?? []);
}

function resolveIfPresent(reader: SystemReader, file: string): string | undefined {
  return unless(isGone, () => reader.resolve(file));
}

const isGone = hasCode('ENOENT');

/**
 * Returns the sysfs directories of a device and every device below it, through partitions, device-mapper and md, and of
 * the disks among them. A device whose content may differ from that of the devices below it counts as a further disk.
 */
export function devicesUnder(reader: SystemReader, node: string): { stack: string[]; leaves: string[] } {
  const stack = new Set([node]);
  const leaves: string[] = [];
  for (const each of stack) {
    const below = devicesBelow(reader, each);
    if (below.length === 0 || differsFromBelow(reader, each) !== undefined) leaves.push(each);
    for (const next of below) stack.add(next);
  }
  return { stack: [...stack], leaves };
}

/** Returns the sysfs directories of the disks below a device (devicesUnder). */
export function findLeaves(reader: SystemReader, node: string): string[] {
  return devicesUnder(reader, node).leaves.sort();
}

/**
 * Returns the sysfs directories of the devices directly below a device: the disk of a partition or the members of a stack.
 */
function devicesBelow(reader: SystemReader, node: string): string[] {
  if (reader.stat(`${node}/partition`)) return [path.dirname(node)];
  return slavesOf(reader, node).flatMap((slave) => resolveIfPresent(reader, slave) ?? []);
}

/** The levels of md that return each sector of a member as it is. */
const directLevels = ['linear', 'raid0', 'raid1', 'raid10'];
/** The levels of md that compute a sector from others if a member is missing. */
const parityLevels = ['raid4', 'raid5', 'raid6'];

/**
 * Returns the links to the devices of which a stacked device consists; none for other devices. The kernel keeps the
 * link to a disk that is removed while it is in use.
 */
function slavesOf(reader: SystemReader, node: string): string[] {
  if (reader.stat(`${node}/slaves`) === undefined) return [];
  return reader.list(`${node}/slaves`).map((name) => `${node}/slaves/${name}`);
}

/**
 * Returns why the content of a stacked device may differ from that of the devices below it; undefined if it cannot, and
 * for other devices. Root can create a device over a sealed disk, with a name and UUID of its choice, that has other
 * content: device-mapper's flakey with corrupt_bio_byte, or a RAID 5 without one of its members, which combines
 * sectors. Devices that only arrange the sectors differently are accepted, whoever made them. boot/disks.sh has the
 * same rule.
 * @param node the sysfs directory of the device
 * @throws SystemError
 */
export function differsFromBelow(reader: SystemReader, node: string): string | undefined {
  const slaves = slavesOf(reader, node);
  if (slaves.length === 0) return undefined;
  const name = path.basename(node);
  const removed = slaves.find((slave) => resolveIfPresent(reader, slave) === undefined);
  if (removed !== undefined) return `${path.basename(removed)}, which is below ${name}, was removed`;
  if (reader.stat(`${node}/dm`) !== undefined) {
    const target = differingTarget(reader, node);
    if (target === undefined) return `the device-mapper table of ${name} is unknown`;
    return target === '' ? undefined : `the device-mapper table of ${name} has the target ${target}`;
  }
  if (reader.stat(`${node}/md`) === undefined) {
    return `${name} is neither a device-mapper device nor an md array`;
  }
  const level = reader.read(`${node}/md/level`).trim();
  if (directLevels.includes(level)) return undefined;
  if (parityLevels.includes(level) && reader.read(`${node}/md/degraded`).trim() === '0') return undefined;
  return `the md array ${name} is ${parityLevels.includes(level) ? `a degraded ${level}` : `of level ${level}`}`;
}

/**
 * Returns the target of a device-mapper device with which its content may differ from that of the devices below it; an
 * empty string if there is none; undefined if the table is unknown, and for other devices.
 * @throws SystemError
 */
export function differingTarget(reader: SystemReader, node: string): string | undefined {
  if (reader.stat(`${node}/dm`) === undefined) return undefined;
  return reader.deviceTables().get(reader.read(`${node}/dev`).trim());
}
