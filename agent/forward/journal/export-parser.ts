import type { FieldSelection, LogEntry } from '../reader.ts';
import { FieldFilter } from './field-filter.ts';
import { Passthrough } from './passthrough.ts';
import { ExportError, Tokenizer } from './tokenizer.ts';

export { ExportError };

const firstLine = '__CURSOR=';
/** An incomplete entry longer than this is passed to the tokenizer, which keeps its state between chunks. */
const carryBytes = 128 * 1024;
/** The maximum size of a single read from a pipe. */
const chunkBytes = 64 * 1024;

/**
 * Splits data in the journal export format (systemd.io/JOURNAL_EXPORT_FORMATS) into entries. Accepts chunks of any size
 * and uses bounded memory. Entries that contain only text values and are complete in a chunk take a fast path of native
 * searches. A NUL indicates a binary value, because the eight bytes of the value's length contain at least one NUL.
 */
export class ExportParser {
  readonly #tokenizer: Tokenizer;
  /** The bytes carried over, followed by the next chunk. They are copied so that no chunk is kept alive. */
  #space = Buffer.allocUnsafeSlow(carryBytes + chunkBytes);
  #carried = 0;

  /** @param fields `all` keeps every byte; `syslog` keeps only the fields of a syslog message */
  constructor(fields: FieldSelection) {
    this.#tokenizer = new Tokenizer(fields === 'syslog' ? new FieldFilter() : new Passthrough());
  }

  /**
   * @returns the entries and pieces that this chunk completes, in order
   * @throws ExportError if the bytes are not in the export format; the parser must not be used afterwards
   */
  push(chunk: Buffer): LogEntry[] {
    const entries: LogEntry[] = [];
    const bytes = this.#carried === 0 ? chunk : this.#joined(chunk);
    this.#carried = 0;
    let at = 0;
    while (at < bytes.length) {
      if (!this.#tokenizer.active) {
        at = cutTextEntries(bytes, at, entries);
        if (at === bytes.length) break;
        if (bytes.length - at < carryBytes && bytes.indexOf('\n\n', at) < 0 && bytes.indexOf(0, at) < 0) {
          this.#carried = bytes.copy(this.#space, 0, at);
          break;
        }
      }
      at = this.#tokenizer.run(bytes, at, entries);
    }
    return entries;
  }

  /**
   * Must be called at the end of the input.
   * @returns the cursor of the last entry if the entry is incomplete ('' if its cursor was not read), else undefined
   */
  end(): string | undefined {
    if (this.#carried > 0) this.#tokenizer.run(this.#space.subarray(0, this.#carried), 0, []);
    this.#carried = 0;
    return this.#tokenizer.active ? this.#tokenizer.cursor : undefined;
  }

  #joined(chunk: Buffer): Buffer {
    const length = this.#carried + chunk.length;
    if (length > this.#space.length) return Buffer.concat([this.#space.subarray(0, this.#carried), chunk]);
    chunk.copy(this.#space, this.#carried);
    return this.#space.subarray(0, length);
  }
}

/**
 * Appends complete entries that contain only text values to `entries`.
 * @returns the offset of the first entry that is incomplete or has a binary value
 */
function cutTextEntries(bytes: Buffer, from: number, entries: LogEntry[]): number {
  const nul = bytes.indexOf(0, from);
  const text = bytes.toString('latin1', from, nul < 0 ? bytes.length : nul);
  let at = 0;
  for (;;) {
    const end = text.indexOf('\n\n', at);
    // The line feed after a binary field's name and the first byte of its length may look like a blank line. In this
    // case, a NUL follows within the length.
    if (end < 0 || end + 10 > text.length) return from + at;
    const entry = text.slice(at, end + 2);
    if (!entry.startsWith(firstLine) || entry.includes('\n__CURSOR=')) return from + at;
    const cursor = entry.slice(9, entry.indexOf('\n'));
    entries.push({ kind: 'entry', cursor, text: entry, message: undefined, cut: 0 });
    at = end + 2;
  }
}
