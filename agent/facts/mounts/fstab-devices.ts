import type { SystemReader } from '../../system/reader.ts';
import { type NamedDevice, findNamedDevice } from '../disks/named-device.ts';
import { type Observed, observe } from '../observed.ts';
import { type Fstab, type FstabLine, parseFstab } from './fstab.ts';

/** A line with the device that its source names by the links of udev, which point to the device processed last. */
export type LinkedFstabLine = FstabLine & { linked: Observed<NamedDevice> };

/** A line with its device. */
export type FstabEntry = FstabLine & NamedDevice;

/**
 * The lines of /etc/fstab; none without a file. A device that cannot be read does not hide the other lines.
 * @throws HostError
 */
export function readFstab(reader: SystemReader): {
  lines: LinkedFstabLine[];
  problems: Fstab['problems'];
} {
  const { lines, problems } = parseFstab(readFstabText(reader) ?? '');
  const linked = (line: FstabLine) => observe(() => findNamedDevice(reader, line.node));
  return { lines: lines.map((line) => ({ ...line, linked: linked(line) })), problems };
}

/** @returns one character a byte; null without a file */
export function readFstabText(reader: SystemReader): string | null {
  return reader.readIfPresent('/etc/fstab', 1024 * 1024) ?? null;
}

/** The lines of a text, each with the device that its source names by the links of udev. @throws HostError */
export function describeFstab(
  reader: SystemReader,
  text: string,
): { lines: FstabEntry[]; problems: Fstab['problems'] } {
  const { lines, problems } = parseFstab(text);
  return { lines: lines.map((line) => ({ ...line, ...findNamedDevice(reader, line.node) })), problems };
}
