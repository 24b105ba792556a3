import path from 'node:path';
import type { SystemReader } from '../../system/reader.ts';

/** The levels of md that return each sector of a member as it is. */
const directLevels = ['linear', 'raid0', 'raid1', 'raid10'];
/** The levels of md that compute a sector from others if a member is missing. */
const parityLevels = ['raid4', 'raid5', 'raid6'];

/** Returns the names of the devices of which a stacked device consists; none for other devices. */
export function slavesOf(reader: SystemReader, node: string): string[] {
  return reader.stat(`${node}/slaves`) === undefined ? [] : reader.list(`${node}/slaves`);
}

/**
 * Returns why the content of a stacked device may differ from that of the devices below it; undefined if it cannot, and
 * for other devices. Root can create a device over a sealed disk, with a name and UUID of its choice, that has other content: device-mapper's flakey
 * with corrupt_bio_byte, or a RAID 5 without one of its members, which combines sectors. Devices that only arrange the
 * sectors differently are accepted, whoever made them. dracut/immutafs-lib.sh has the same rule.
 * @param node the sysfs directory of the device
 * @throws SystemError
 */
export function differsFromBelow(reader: SystemReader, node: string): string | undefined {
  if (slavesOf(reader, node).length === 0) return undefined;
  const name = path.basename(node);
  if (reader.stat(`${node}/dm`) !== undefined) {
    const target = reader.deviceTables().get(reader.read(`${node}/dev`).trim());
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
