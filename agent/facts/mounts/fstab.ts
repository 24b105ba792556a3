import { unescapeBytes, unescapeOctal } from '../../lib/format.ts';
import { fileOfSource } from '../disks/device-file.ts';

/** A line of fstab(5), escapes resolved. */
export interface FstabLine {
  /** 1 for the file's first line. */
  line: number;
  source: string;
  /** The device file that the source names, perhaps one of udev's links; undefined where it names none. */
  node: string | undefined;
  target: string;
  type: string;
  options: string[];
  /** fs_passno: 0 is not checked at boot. */
  pass: number;
}

export interface Fstab {
  lines: FstabLine[];
  problems: { line: number; reason: string }[];
}

/**
 * Never throws: a line that mount(8) would complain about is a problem. Options, dump and pass may be missing, as
 * for libmount; what follows the sixth field is ignored.
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
      const node = fileOfSource(unescapeBytes(fields[0] ?? ''));
      fstab.lines.push({
        ...{ line, source, node, target: path, type },
        ...{ options: options.split(','), pass: Number(pass) },
      });
    }
  });
  return fstab;
}
