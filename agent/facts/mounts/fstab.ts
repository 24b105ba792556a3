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
 * Parses fstab(5). Never throws: a line that mount(8) rejects as malformed is returned in `problems`. As in libmount,
 * the fields options, dump and pass are optional, and additional fields are ignored.
 * @param text Latin-1: one character per byte
 */
export function parseFstab(text: string): Fstab {
  const fstab: Fstab = { lines: [], problems: [] };
  text.split('\n').forEach((whole, index) => {
    const line = index + 1;
    const trimmed = whole.replace(/^[ \t]+|[ \t\r]+$/g, '');
    if (trimmed === '' || trimmed.startsWith('#')) return;
    const fields = trimmed.split(/[ \t]+/);
    const [source, target, type, options = 'defaults', , pass = '0'] = fields.map(unescapeOctal);
    if (source === undefined || target === undefined || type === undefined) {
      fstab.problems.push({ line, reason: 'fewer than three fields' });
    } else if (!/^\d{1,9}$/.test(pass)) {
      fstab.problems.push({ line, reason: `pass is ${pass}, not a number` });
    } else {
      const path = target.length > 1 ? target.replace(/\/+$/, '') || '/' : target;
      const node = deviceFileOfBytes(unescapeBytes(fields[0] ?? ''));
      fstab.lines.push({
        ...{ line, source, node, target: path, type },
        ...{ options: options.split(','), pass: Number(pass) },
      });
    }
  });
  return fstab;
}
