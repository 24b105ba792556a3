import { decodeBytes } from '../../lib/format.ts';
import type { SystemReader } from '../../system/reader.ts';

const folder = '/run/udev/data';
/** Records of udev have a few kilobytes. */
const mostBytes = 256 * 1024;

/**
 * The properties of a block device in udev's database; empty if the database has no record of it.
 * @param device "major:minor"
 * @throws HostError if the record cannot be read
 */
export function readUdevRecord(reader: SystemReader, device: string): ReadonlyMap<string, string> {
  const file = `${folder}/b${device}`;
  if (reader.stat(file)?.kind !== 'file') return new Map();
  return parseUdevRecord(reader.read(file, mostBytes));
}

/**
 * The properties of a record in udev's database: lines "E:KEY=value"; other lines are links, tags and numbers
 * (systemd, src/libsystemd/sd-device/sd-device.c, handle_db_line()). Never throws: a line of another form is ignored.
 * @param text one character a byte
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
