import { SystemError, hasCode, unless } from '../../lib/errors.ts';
import { baseName, parentOf } from '../../lib/paths.ts';
import { namesIfThere } from '../../system/names.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { Mount } from '../mounts/mountinfo.ts';

/** The part of a SystemReader that this file and evidence.ts need. immutafs-boot has a second one (boot/native/reader.ts). */
export interface DeviceReader extends Pick<SystemReader, 'read' | 'readIfPresent' | 'list' | 'resolve'> {
  stat: (file: string) => unknown;
  deviceTables: () => Pick<ReadonlyMap<string, string>, 'get'>;
}

/**
 * Returns the sysfs directory of the block device of a mount; undefined for a file system without a block device (tmpfs,
 * overlay, NFS). A Btrfs has an anonymous device number (0:N), so the source of the mount determines the device.
 * @param source the path of the source; undefined for a source that is not a device
 */
export function nodeOfMounted(
  reader: DeviceReader,
  { device, type }: Pick<Mount, 'device' | 'type'>,
  source: string | undefined,
): string | undefined {
  if (!device.startsWith('0:')) return resolveIfPresent(reader, `/sys/dev/block/${device}`);
  return type === 'btrfs' ? nodeOfFile(reader, source) : undefined;
}

/**
 * Whether a file system may have other devices than the one that mountinfo names, as a Btrfs may (btrfs-device(8)). A file system on
 * a sealed disk then does not count as sealed. Btrfs is not supported as a file system of the system, and RHEL has none.
 */
export function mayHaveOtherDevices({ type }: Pick<Mount, 'type'>): boolean {
  return type === 'btrfs';
}

/**
 * Returns the sysfs directory of a device file or of a udev link to it; undefined if the device does not exist.
 * @param file undefined for a source that is not a device
 */
export function nodeOfFile(reader: DeviceReader, file: string | undefined): string | undefined {
  const resolved = file === undefined ? undefined : resolveIfPresent(reader, file);
  if (resolved === undefined) return undefined;
  return resolveIfPresent(reader, `${directory}/${baseName(resolved)}`);
}

const directory = '/sys/class/block';

/**
 * Returns the sysfs directories of all block devices, without those that are unplugged meanwhile.
 * @throws SystemError if there are more devices than `maximum`
 */
export function blockNodes(reader: DeviceReader, maximum = Infinity): string[] {
  const names = namesIfThere(reader, directory);
  if (names.length > maximum) throw new SystemError(`${directory}: more than ${maximum} devices`);
  return names.flatMap((name) => resolveIfPresent(reader, `${directory}/${name}`) ?? []);
}

function resolveIfPresent(reader: DeviceReader, file: string): string | undefined {
  return unless(isGone, () => reader.resolve(file));
}

const isGone = hasCode('ENOENT');

/**
 * Returns the sysfs directories of a device and every device below it, through partitions, device-mapper and md.
 * `leaves` are the disks among them, and each device whose content may differ from that of the devices below it, which
 * counts as a further disk; `differing` are only the latter.
 */
export function devicesUnder(
  reader: DeviceReader,
  node: string,
): { stack: string[]; leaves: string[]; differing: string[] } {
  const stack = new Set([node]);
  const leaves: string[] = [];
  const differing: string[] = [];
  for (const each of stack) {
    const below = devicesBelow(reader, each);
    if (below.length > 0 && differsFromBelow(reader, each) !== undefined) differing.push(each);
    if (below.length === 0 || differing.includes(each)) leaves.push(each);
    for (const next of below) stack.add(next);
  }
  return { stack: [...stack], leaves, differing };
}

/** Returns the sysfs directories of the disks below a device (devicesUnder). */
export function findLeaves(reader: DeviceReader, node: string): string[] {
  return devicesUnder(reader, node).leaves.sort();
}

/**
 * Returns the sysfs directories of the devices directly below a device: the disk of a partition or the members of a stack.
 */
function devicesBelow(reader: DeviceReader, node: string): string[] {
  if (reader.stat(`${node}/partition`) !== undefined) return [parentOf(node)];
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
function slavesOf(reader: DeviceReader, node: string): string[] {
  if (reader.stat(`${node}/slaves`) === undefined) return [];
  return reader.list(`${node}/slaves`).map((name) => `${node}/slaves/${name}`);
}

/** Returns the names of the devices of which a stacked device consists, and which were removed. */
export function removedBelow(reader: DeviceReader, node: string): string[] {
  return slavesOf(reader, node)
    .filter((slave) => resolveIfPresent(reader, slave) === undefined)
    .map(baseName);
}

/**
 * Returns why the content of a stacked device may differ from that of the devices below it; undefined if it cannot, and
 * for other devices. Root can create a device over a sealed disk, with a name and UUID of its choice, that has other
 * content: device-mapper's flakey with corrupt_bio_byte, or a RAID 5 without one of its members, which combines
 * sectors. Devices that only arrange the sectors differently are accepted, whoever made them.
 * @param node the sysfs directory of the device
 * @throws SystemError
 */
export function differsFromBelow(reader: DeviceReader, node: string): string | undefined {
  if (slavesOf(reader, node).length === 0) return undefined;
  const name = baseName(node);
  const [removed] = removedBelow(reader, node);
  if (removed !== undefined) return `${removed}, which is below ${name}, was removed`;
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
export function differingTarget(reader: DeviceReader, node: string): string | undefined {
  if (reader.stat(`${node}/dm`) === undefined) return undefined;
  return reader.deviceTables().get(reader.read(`${node}/dev`).trim());
}
