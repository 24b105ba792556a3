import { decodeBytes } from '../../lib/format.ts';
import type { SystemReader } from '../../system/reader.ts';

const folder = '/run/udev/data';
/** A record has some kilobytes at most; a larger one is not udev's. */
const mostBytes = 256 * 1024;

/**
 * What udev knows of a block device, by property; empty where udev has no record of the device.
 * @param device "major:minor"
 * @throws HostError where the record is there and cannot be read
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
