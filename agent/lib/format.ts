import { isUtf8 } from 'node:buffer';
import { unescapeBytes } from './octal.ts';
import { clean } from './unprintable.ts';

export { clean };

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** Formats a number of bytes: 1536 -> "1.5 KiB" */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit] ?? ''}`;
}

/** Formats an age as a whole number of the largest unit that fits: 90 -> "1 min" */
export function formatAge(seconds: number): string {
  const [size, unit] = ages.find(([least]) => seconds >= least) ?? [1, 's'];
  return `${Math.floor(seconds / size)} ${unit}`;
}

const ages: readonly (readonly [number, string])[] = [
  [86400, 'd'],
  [3600, 'h'],
  [60, 'min'],
];

/** Formats a time in ISO 8601, in UTC, to the minute. */
export function minute(at: string): string {
  return `${at.slice(0, 16).replace('T', ' ')} UTC`;
}

/** Breaks a text at spaces into lines of at most `columns` characters. A longer word is put on a separate line. */
export function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= columns) {
      lines[lines.length - 1] = `${last} ${word}`;
    } else {
      lines.push(word);
    }
  }
  return lines;
}

/** Joins the first texts of a list. Appends "and N more" if the list is longer. */
export function shortList(texts: readonly string[], between = ' ', shown = 8): string {
  const first = texts.slice(0, shown).join(between);
  return texts.length > shown ? `${first} and ${texts.length - shown} more` : first;
}

/**
 * Decodes bytes as UTF-8. If the bytes are not valid UTF-8, replaces every non-ASCII byte by \\xNN, so that different
 * names remain different.
 * @param bytes one character per byte (latin1); a text with other characters is returned unchanged
 */
export function decodeBytes(bytes: string): string {
  if (/[^\0-\xff]/.test(bytes)) return bytes;
  const buffer = Buffer.from(bytes, 'latin1');
  if (isUtf8(buffer)) return buffer.toString('utf8');
  return bytes.replace(/[\x80-\xff]/g, (char) => `\\x${char.charCodeAt(0).toString(16)}`);
}

/** Encodes a text as UTF-8. @returns one character per byte (latin1) */
export function encodeBytes(text: string): string {
  return Buffer.from(text).toString('latin1');
}

/**
 * Cleans a line of a log and encodes it as UTF-8. Line feeds are replaced first: one character per byte, U+010A contains
 * a line feed as well.
 * @returns one character per byte (latin1)
 */
export function cleanBytes(text: string): string {
  return encodeBytes(clean(text));
}

/** Capitalises the first letter, and adds a full stop if there is none. */
export function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith('.') ? '' : '.'}`;
}

/** Decodes a field of mountinfo, fstab(5) or /proc/swaps, where space, tab, newline, backslash and # are in octal. */
export function unescapeOctal(field: string): string {
  // A text with one byte per character in UTF-8 is ASCII. Buffer.byteLength is a fast native call.
  if (!field.includes('\\') && Buffer.byteLength(field) === field.length) return field;
  return decodeBytes(unescapeBytes(field));
}

/**
 * Parses JSON. Unlike the message of JSON.parse, the error message does not quote the text, because another user may
 * have replaced the file by a symbolic link to a file that the other user is not permitted to read.
 * @param file the file name in the error message
 * @throws Error "FILE: not JSON"
 */
export function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new Error(`${file}: not JSON`);
  }
}

/** Quotes a path for a shell: an administrator pastes the line, and a service may have chosen the name. */
export function shellWord(path: string): string {
  return /^[\w./@+:-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}

/**
 * Formats rows as a table with aligned columns, without breaking a line: what an administrator copies must stay in one
 * piece. Replaces control characters.
 */
export function formatTable(rows: readonly (readonly string[])[]): string[] {
  const cells = rows.map((row) => row.map((cell) => clean(cell)));
  const widths = cells.reduce<number[]>(
    (known, row) => row.map((cell, column) => Math.max(known[column] ?? 0, cell.length)),
    [],
  );
  return cells.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
