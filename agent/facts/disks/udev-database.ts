import { decodeBytes } from '../../lib/format.ts';
import type { SystemReader } from '../../system/reader.ts';

const directory = '/run/udev/data';
/** Upper bound on the size of a record; typical records have a few kilobytes. */
const mostBytes = 256 * 1024;

/**
 * Reads the properties of a block device from udev's database; empty if the database has no record of the device.
 * @param device "major:minor"
 * @throws SystemError if the record cannot be read
 */
export function readUdevRecord(reader: SystemReader, device: string): ReadonlyMap<string, string> {
  const file = `${directory}/b${device}`;
  if (reader.stat(file)?.kind !== 'file') return new Map();
  return parseUdevRecord(reader.read(file, mostBytes));
}

/**
 * Parses the properties in a record of udev's database, which are the lines "E:KEY=value". Ignores all other lines:
 * links, tags and numbers (systemd, src/libsystemd/sd-device/sd-device.c, handle_db_line()). Never throws.
 * @param text Latin-1: one character per byte
 */
export function parseUdevRecord(text: string): Map<string, string> {
  const properties = new Map<string, string>();
  for (const line of text.split('\n')) {
    const end = line.indexOf('=');
    if (!line.startsWith('E:') || end < 0) continue;
    properties.set(line.slice(2, end), decodeBytes(line.slice(end + 1)));
  }
  return properties;
}
