import type { SystemReader } from '../../system/reader.ts';
import { type NamedDevice, findNamedDevice } from '../disks/named-device.ts';
import { type Observed, observe } from '../observed.ts';
import { type Fstab, type FstabLine, parseFstab } from './fstab.ts';

/**
 * A line of fstab with the device to which the udev link of its source points. If several devices have the same
 * identity, the link points to the device that udev processed last.
 */
export type LinkedFstabLine = FstabLine & { linked: Observed<NamedDevice> };

/** A line of fstab with the device that its source names. */
export type FstabEntry = FstabLine & NamedDevice;

/**
 * Reads the lines of /etc/fstab with their devices; returns no lines if the file does not exist. If a device cannot be
 * read, `linked` contains the error, and the other lines are still returned.
 * @throws SystemError if the file cannot be read
 */
export function readFstab(reader: SystemReader): {
  lines: LinkedFstabLine[];
  problems: Fstab['problems'];
} {
  const { lines, problems } = parseFstab(readFstabText(reader) ?? '');
  const linked = (line: FstabLine) => observe(() => findNamedDevice(reader, line.node));
  return { lines: lines.map((line) => ({ ...line, linked: linked(line) })), problems };
}

/** Reads /etc/fstab as Latin-1, one character per byte; returns null if the file does not exist. */
export function readFstabText(reader: SystemReader): string | null {
  return reader.readIfPresent('/etc/fstab', 1024 * 1024) ?? null;
}

/**
 * Parses the text of an fstab and finds the device to which the udev link of each source points.
 * @throws SystemError if a device cannot be read
 */
export function describeFstab(
  reader: SystemReader,
  text: string,
): { lines: FstabEntry[]; problems: Fstab['problems'] } {
  const { lines, problems } = parseFstab(text);
  return { lines: lines.map((line) => ({ ...line, ...findNamedDevice(reader, line.node) })), problems };
}
