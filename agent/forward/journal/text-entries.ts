import type { LogEntry } from '../reader.ts';

const firstLine = '__CURSOR=';

/**
 * Appends complete entries that contain only text values to `entries`, by native searches. A NUL indicates a binary
 * value, because the eight bytes of the value's length contain at least one NUL.
 * @returns the offset of the first entry that is incomplete or has a binary value
 */
export function cutTextEntries(bytes: Buffer, from: number, entries: LogEntry[]): number {
  const nul = bytes.indexOf(0, from);
  const text = bytes.toString('latin1', from, nul < 0 ? bytes.length : nul);
  for (let at = 0; ;) {
    // The line feed after a binary field's name and the first byte of its length may look like a blank line. In this
    // case, a NUL follows within the length.
    const end = text.indexOf('\n\n', at);
    if (end < 0 || end + 10 > text.length) return from + at;
    const entry = text.slice(at, end + 2);
    if (!entry.startsWith(firstLine) || entry.includes('\n__CURSOR=')) return from + at;
    const cursor = entry.slice(9, entry.indexOf('\n'));
    entries.push({ kind: 'entry', cursor, text: entry, message: undefined, cut: 0 });
    at = end + 2;
  }
}
