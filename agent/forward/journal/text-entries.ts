import { type LogEntry, runEntries } from '../reader.ts';

const firstLine = '__CURSOR=';
/** The beginning of an entry. Numbers of up to 13 digits are exact. */
const beginning = /__CURSOR=(s=[0-9a-f]{32});i=([0-9a-f]{1,13});/y;

/**
 * Appends complete entries that contain only text values to `entries`, by native searches. A NUL indicates a binary
 * value, because the eight bytes of the value's length contain at least one NUL.
 * @param grouped whether to append runs instead of single entries, where possible
 * @returns the offset of the first entry that is incomplete or has a binary value
 */
export function cutTextEntries(bytes: Buffer, from: number, entries: LogEntry[], grouped: boolean): number {
  const nul = bytes.indexOf(0, from);
  const text = bytes.toString('latin1', from, nul < 0 ? bytes.length : nul);
  let at = 0;
  for (;;) {
    const run = grouped ? cutRun(text, at, entries) : at;
    if (run > at) {
      at = run;
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
  return entries.flatMap((entry) => (entry.run === undefined ? entry : entriesOf(entry.text)));
}

/** @param text the text of a run */
function entriesOf(text: string): LogEntry[] {
  return text
    .split('\n\n__CURSOR=')
    .map(
      (part, index, { length }) => (index > 0 ? firstLine : '') + part + (index < length - 1 ? '\n\n' : ''),
    )
    .map((each) => ({
      ...{ kind: 'entry', cursor: each.slice(9, each.indexOf('\n')), text: each },
      ...{ message: undefined, cut: 0 },
    }));
}

/**
 * Appends the entries of one source with consecutive sequence numbers that begin at an offset as one item, if there are
 * at least two. Every entry up to the last one of the text is followed by a blank line and the cursor of the next entry,
 * so none of them is incomplete.
 * @returns the offset after the run
 */
function cutRun(text: string, from: number, entries: LogEntry[]): number {
  beginning.lastIndex = from;
  const [, source, first] = beginning.exec(text) ?? [];
  if (source === undefined || first === undefined) return from;
  const sequence = parseInt(first, 16);
  let [last, end, count] = [from, from, 0];
  while (count < runEntries) {
    const line = text.indexOf('\n__CURSOR=', end);
    // journalctl omits the blank line after a corrupt entry.
    if (line < 0 || text.charCodeAt(line - 1) !== 10) break;
    [last, end, count] = [end, line + 1, count + 1];
    if (!text.startsWith(`${source};i=${(sequence + count).toString(16)};`, end + firstLine.length)) break;
  }
  if (count < 2) return from;
  const cursorAt = (at: number) => text.slice(at + firstLine.length, text.indexOf('\n', at));
  entries.push({
    ...{ kind: 'entry', cursor: cursorAt(last), text: text.slice(from, end), message: undefined, cut: 0 },
    run: { first: cursorAt(from), count },
  });
  return end;
}
