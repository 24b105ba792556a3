import { unescapeBytes, unescapeOctal } from '../../lib/format.ts';
import { deviceFileOfBytes } from '../disks/device-file.ts';

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

export interface Fstab {
  lines: FstabLine[];
  problems: { line: number; reason: string }[];
}

/**
 * Parses fstab(5) as libmount does (util-linux, libmount/src/tab_parse.c). Never throws: a line that mount(8) rejects as
 * malformed is returned in `problems`. The fields options, dump and pass are optional, and additional fields are ignored.
 * The boot scripts read the same lines in the same way (dracut/fstab.sh).
 * @param text Latin-1: one character per byte
 */
export function parseFstab(text: string): Fstab {
  const fstab: Fstab = { lines: [], problems: [] };
  text.split('\n').forEach((whole, index) => {
    const line = index + 1;
    const trimmed = whole.replace(/\r$/, '').replace(/^[ \t]+|[ \t]+$/g, '');
    if (trimmed === '' || trimmed.startsWith('#')) return;
    const fields = trimmed.split(/[ \t]+/);
    const [source, target, type, options = 'defaults', dump = '0', pass = '0'] = fields.map(unescapeOctal);
    if (source === undefined || target === undefined || type === undefined) {
      fstab.problems.push({ line, reason: 'fewer than three fields' });
    } else if (!isNumber(dump)) {
      fstab.problems.push({ line, reason: `dump is ${dump}, not a number` });
    } else if (!isNumber(pass)) {
      fstab.problems.push({ line, reason: `pass is ${pass}, not a number` });
    } else {
      const path = target.replace(/\/{2,}/g, '/').replace(/(.)\/$/, '$1');
      const node = deviceFileOfBytes(unescapeBytes(fields[0] ?? ''));
      fstab.lines.push({
        ...{ line, source, node, target: path, type },
        ...{ options: options.split(','), pass: Number(pass) },
      });
    }
  });
  return fstab;
}

/** Whether strtol(3) reads a whole field as a number. */
function isNumber(field: string): boolean {
  return /^[-+]?\d{1,9}$/.test(field);
}
