import { unescapeOctal } from '../../lib/format.ts';
import { unescapeBytes } from '../../lib/octal.ts';
import { fieldsOfFstab, plainTarget } from './fstab-fields.ts';
import { deviceFileOfBytes } from '../disks/tags.ts';
import type { SystemReader } from '../../system/reader.ts';
import { type NamedDevice, findNamedDevice } from '../disks/disks.ts';
import { type Observed, observe } from '../observed.ts';

/** A line of fstab(5) with its escapes decoded. */
export interface FstabLine {
  /** The line number; the first line of the file is 1. */
  line: number;
  source: string;
  /** The device file or udev link that the source names; undefined if the source is not a device. */
  node: string | undefined;
  target: string;
  type: string;
  options: string[];
  /** fs_passno; 0 if the file system is not checked at boot. */
  pass: number;
}

interface Fstab {
  lines: FstabLine[];
  problems: { line: number; reason: string }[];
}

/**
 * Parses fstab(5) as libmount does (util-linux, libmount/src/tab_parse.c). Never throws: a line that mount(8) rejects as
 * malformed is returned in `problems`. The fields options, dump and pass are optional, and additional fields are ignored.
 * @param text Latin-1: one character per byte
 */
export function parseFstab(text: string): Fstab {
  const fstab: Fstab = { lines: [], problems: [] };
  for (const { line, fields } of fieldsOfFstab(text)) {
    const [source, target, type, options = 'defaults', dump = '0', pass = '0'] = fields.map(unescapeOctal);
    if (source === undefined || target === undefined || type === undefined) {
      fstab.problems.push({ line, reason: 'fewer than three fields' });
    } else if (!isNumber(dump)) {
      fstab.problems.push({ line, reason: `dump is ${dump}, not a number` });
    } else if (!isNumber(pass)) {
      fstab.problems.push({ line, reason: `pass is ${pass}, not a number` });
    } else {
      const node = deviceFileOfBytes(unescapeBytes(fields[0] ?? ''));
      fstab.lines.push({
        ...{ line, source, node, target: plainTarget(target), type },
        ...{ options: options.split(','), pass: Number(pass) },
      });
    }
  }
  return fstab;
}

/** Whether strtol(3) reads a whole field as a number. */
function isNumber(field: string): boolean {
  return /^[-+]?\d{1,9}$/.test(field);
}

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

/** Whether the option `on` is in effect. Of two opposite options, the last one takes effect (mount(8)). */
export function inEffect(options: readonly string[], on: string, off: string): boolean {
  return options.lastIndexOf(on) > options.lastIndexOf(off);
}

/** The options with which a file system holds only data, each with its opposite. */
const restrictions: readonly (readonly [string, string])[] = [
  ['noexec', 'exec'],
  ['nosuid', 'suid'],
  ['nodev', 'dev'],
];

/** The restrictions that an option for mounts by users implies (mount(8)). */
const implied: Record<string, readonly string[]> = {
  ...{ user: ['noexec', 'nosuid', 'nodev'], users: ['noexec', 'nosuid', 'nodev'] },
  ...{ owner: ['nosuid', 'nodev'], group: ['nosuid', 'nodev'] },
};

/** Returns those of noexec, nosuid and nodev that are in effect with the options of a line or of a mount. */
export function restrictionsOf(options: readonly string[]): string[] {
  const all = options.flatMap((option) => [option, ...(implied[option] ?? [])]);
  return restrictions.filter(([on, off]) => inEffect(all, on, off)).map(([on]) => on);
}

/** Returns those of noexec, nosuid and nodev that are not in effect. */
export function missingRestrictions(options: readonly string[]): string[] {
  const found = restrictionsOf(options);
  return restrictions.map(([on]) => on).filter((option) => !found.includes(option));
}
