import { decodeBytes } from '../../lib/format.ts';
import { type Tag, tagOfFile } from './identities.ts';
import { fileOfSource } from './source-files.ts';
import { propertiesOf, udevData } from './udev-record.ts';
import type { SystemReader } from '../../system/reader.ts';

/**
 * Converts a source to the path of a device file or of a udev link: "UUID=…" -> /dev/disk/by-uuid/….
 * @param source from /proc/swaps, from a command line, or from fstab(5) with the octal escapes decoded
 * @returns undefined for a source that is not a device, such as an NFS export or "tmpfs"
 */
export function deviceFile(source: string): string | undefined {
  return deviceFileOfBytes(Buffer.from(source).toString('latin1'));
}

/** Same as deviceFile, for a source that need not be valid UTF-8. @param source Latin-1: one character per byte */
export function deviceFileOfBytes(source: string): string | undefined {
  const file = fileOfSource(source);
  return file === undefined ? undefined : Buffer.from(file, 'latin1').toString('utf8');
}

/**
 * Returns the tag in a source of fstab(5) or root=; undefined if the source contains no tag.
 * @param source "UUID=…", /dev/disk/by-uuid/…, /dev/mapper/…, /dev/VG/LV
 */
export function tagOfSource(source: string): Tag | undefined {
  return tagOfFile(deviceFile(source));
}

/** Upper bound on the size of a record; typical records have a few kilobytes. */
const mostBytes = 256 * 1024;

/**
 * Reads the properties of a block device from udev's database; empty if the database has no record of the device.
 * @param device "major:minor"
 * @throws SystemError if the record cannot be read
 */
export function readUdevRecord(reader: SystemReader, device: string): ReadonlyMap<string, string> {
  const file = `${udevData}/b${device}`;
  if (reader.stat(file)?.kind !== 'file') return new Map();
  return parseUdevRecord(reader.read(file, mostBytes));
}

/**
 * Parses the properties in a record of udev's database (propertiesOf). Never throws.
 * @param text Latin-1: one character per byte
 */
export function parseUdevRecord(text: string): Map<string, string> {
  return new Map(Array.from(propertiesOf(text), ([key, value]) => [key, decodeBytes(value)]));
}
