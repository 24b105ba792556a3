import { isUtf8 } from 'node:buffer';

export { clean } from './unprintable.ts';

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** 1536 -> "1.5 KiB" */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit] ?? ''}`;
}

/** 90 -> "1 min": the largest unit that has passed. */
export function formatAge(seconds: number): string {
  const [size, unit] = ages.find(([least]) => seconds >= least) ?? [1, 's'];
  return `${Math.floor(seconds / size)} ${unit}`;
}

const ages: readonly (readonly [number, string])[] = [
  [86400, 'd'],
  [3600, 'h'],
  [60, 'min'],
];

/** Lines of at most `columns` characters, broken at spaces; a longer word stands alone. */
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

/**
 * The first of a list and how many more there are: containers make thousands of mounts.
 * @param between what stands between two of them
 */
export function shortList(texts: readonly string[], between = ' ', shown = 8): string {
  const first = texts.slice(0, shown).join(between);
  return texts.length > shown ? `${first} and ${texts.length - shown} more` : first;
}

/**
 * Bytes as text: UTF-8 where they are; else every byte that is not ASCII as \\xNN, so that two names stay two.
 * @param bytes one character a byte (latin1); a text that has characters beyond that is decoded already
 */
export function decodeBytes(bytes: string): string {
  if (/[^\0-\xff]/.test(bytes)) return bytes;
  const buffer = Buffer.from(bytes, 'latin1');
  if (isUtf8(buffer)) return buffer.toString('utf8');
  return bytes.replace(/[\x80-\xff]/g, (char) => `\\x${char.charCodeAt(0).toString(16)}`);
}

/** With a capital, unless it begins with a path, and a full stop. */
export function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith('.') ? '' : '.'}`;
}

/** The bytes of UTF-8 are as many as the characters then: a native call. */
function isAscii(text: string): boolean {
  return Buffer.byteLength(text) === text.length;
}

/** A field of mountinfo, fstab(5) or /proc/swaps: space, tab, newline, backslash and # are octal. */
export function unescapeOctal(field: string): string {
  if (!field.includes('\\') && isAscii(field)) return field;
  return decodeBytes(unescapeBytes(field));
}

/**
 * The same, as bytes.
 * @returns one character a byte
 */
export function unescapeBytes(field: string): string {
  return field.replace(/\\(?!000)([0-3][0-7]{2})/g, (_, octal: string) =>
    String.fromCharCode(parseInt(octal, 8)),
  );
}

/**
 * @param file for the message, which does not quote the text as JSON.parse's own does: the file may be a link, made by
 *     somebody who may not read what it points to
 * @throws Error
 */
export function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new Error(`${file}: not JSON`);
  }
}
