import { type LogEntry, type Run, runEntries } from '../reader.ts';

const firstLine = '__CURSOR=';
/** The beginning of an entry. Numbers of up to 13 digits are exact. */
const beginning = /__CURSOR=(s=[0-9a-f]{32});i=([0-9a-f]{1,13});/y;

/** The maximum number of searches for runs in a chunk, because each one searches the rest of the chunk. */
const searches = 8;

/**
 * Appends complete entries that contain only text values to `entries`, by native searches. A NUL indicates a binary
 * value, because the eight bytes of the value's length contain at least one NUL.
 * @param bytes the bytes, to which runs refer
 * @param grouped whether to append runs instead of single entries, where possible
 * @returns the offset of the first entry that is incomplete or has a binary value
 */
export function cutTextEntries(bytes: Buffer, from: number, entries: LogEntry[], grouped: boolean): number {
  const nul = bytes.indexOf(0, from);
  const text = bytes.toString('latin1', from, nul < 0 ? bytes.length : nul);
  let at = 0;
  for (let searched = 0; ; searched += 1) {
    const run = grouped && searched < searches ? findRun(text, at) : undefined;
    if (run !== undefined) {
      entries.push(runOf(bytes.subarray(from + at, from + run.end), run.last - at, run.count));
      at = run.end;
      continue;
    }
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

/** Replaces each run by its entries. */
export function splitRuns(entries: LogEntry[]): LogEntry[] {
  if (!entries.some(({ run }) => run !== undefined)) return entries;
  return entries.flatMap((entry) => (entry.run === undefined ? entry : entriesOf(entry.run)));
}

function entriesOf({ bytes }: Run): LogEntry[] {
  return bytes
    .toString('latin1')
    .split('\n\n__CURSOR=')
    .map(
      (part, index, { length }) => (index > 0 ? firstLine : '') + part + (index < length - 1 ? '\n\n' : ''),
    )
    .map((each) => ({
      ...{ kind: 'entry', cursor: each.slice(9, each.indexOf('\n')), text: each },
      ...{ message: undefined, cut: 0 },
    }));
}

/** Entries of one source with consecutive sequence numbers. */
interface Range {
  count: number;
  /** The offset of the last entry. */
  last: number;
  /** The offset after the last entry. */
  end: number;
}

/**
 * Finds at least two entries of one source with consecutive sequence numbers. Each of them is followed by a blank line
 * and the cursor of the next entry, so none of them is incomplete. Splits the text by native code, because V8
 * interprets the shipped program.
 * @param from the offset of the first entry
 */
function findRun(text: string, from: number): Range | undefined {
  beginning.lastIndex = from;
  const [, source, first] = beginning.exec(text) ?? [];
  if (source === undefined || first === undefined) return undefined;
  const separator = `\n\n${firstLine}${source};i=`;
  const parts = text.slice(from).split(separator, runEntries + 1);
  const sequence = parseInt(first, 16);
  const rangeOf = (complete: number) =>
    consecutive(parts.slice(0, complete), sequence, from, separator.length);
  let range = rangeOf(parts.length - 1);
  if (range.count < 2) return undefined;
  // journalctl omits the blank line after a corrupt entry, and another source has another separator, so that a part may
  // contain another cursor. Each cursor contains this text; a search for a rare letter is several times as fast.
  if (text.slice(from, range.end).split('URSOR=s=').length - 1 !== range.count) {
    const other = parts.findIndex((part) => part.includes(`\n${firstLine}`));
    if (other >= 0) range = rangeOf(other);
  }
  return range.count < 2 ? undefined : range;
}

/**
 * @param parts the text of each entry, except that all but the first one begin with the sequence number
 * @param sequence the sequence number of the first entry
 * @param separator the length of the text between two parts
 */
function consecutive(parts: readonly string[], sequence: number, from: number, separator: number): Range {
  let count = 0;
  let last = from;
  let end = from;
  for (; count < parts.length; count += 1) {
    const part = parts[count] ?? '';
    if (count > 0 && parseInt(part, 16) !== sequence + count) break;
    last = end;
    end += part.length + (count > 0 ? separator : 2);
  }
  return { count, last, end };
}

/** @param last the offset of the last entry */
function runOf(bytes: Buffer, last: number, count: number): LogEntry {
  return {
    ...{ kind: 'entry', cursor: cursorAt(bytes, last), text: '', message: undefined, cut: 0 },
    run: { first: cursorAt(bytes, 0), count, bytes },
  };
}

function cursorAt(bytes: Buffer, at: number): string {
  return bytes.toString('latin1', at + firstLine.length, bytes.indexOf('\n', at));
}
