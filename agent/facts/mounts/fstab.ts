import { unescapeBytes, unescapeOctal } from '../../lib/format.ts';
import { deviceFileOfBytes } from '../disks/device-file.ts';

/** A line of fstab(5), escapes resolved. */
export interface FstabLine {
  /** 1 for the file's first line. */
  line: number;
  source: string;
  /** The device file that the source names, which may be a link of udev; undefined if it names none. */
  node: string | undefined;
  target: string;
  type: string;
  options: string[];
  /** fs_passno; 0: not checked at boot. */
  pass: number;
}

export interface Fstab {
  lines: FstabLine[];
  problems: { line: number; reason: string }[];
}

/**
 * Parses fstab(5). Never throws: a line that mount(8) reports as malformed is a problem. As in libmount, options,
 * dump and pass may be missing, and further fields are ignored.
 * @param text one character a byte
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
