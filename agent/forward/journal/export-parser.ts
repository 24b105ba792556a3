import type { FieldSelection, LogEntry } from '../reader.ts';
import { FieldFilter } from './field-filter.ts';
import { Passthrough } from './passthrough.ts';
import { ExportError, Tokenizer } from './tokenizer.ts';

export { ExportError };

const firstLine = '__CURSOR=';
/** A longer unfinished entry goes to the tokenizer, which keeps its state from chunk to chunk. */
const carryBytes = 128 * 1024;
/** The most that a pipe delivers at once. */
const chunkBytes = 64 * 1024;

/**
 * Splits the journal export format (systemd.io/JOURNAL_EXPORT_FORMATS) into entries, from chunks of any size, in
 * bounded memory. Entries that have only text values and are complete in a chunk take a fast path of native searches.
 * A binary value is recognised by a NUL: its eight bytes of length contain at least one.
 */
export class ExportParser {
  readonly #tokenizer: Tokenizer;
  /** The bytes carried over, followed by the next chunk: copied, so that no chunk is kept alive. */
  #space = Buffer.allocUnsafeSlow(carryBytes + chunkBytes);
  #carried = 0;

  /** @param fields `all` keeps every byte; `syslog` only the fields of a syslog message */
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

  /** At the end of the input. @returns the cursor of an incomplete entry ('' if it is incomplete too); undefined if none */
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

/** @returns where the first entry begins that is incomplete or has a binary value */
function cutTextEntries(bytes: Buffer, from: number, entries: LogEntry[]): number {
  const nul = bytes.indexOf(0, from);
  const text = bytes.toString('latin1', from, nul < 0 ? bytes.length : nul);
  let at = 0;
  for (;;) {
    const end = text.indexOf('\n\n', at);
    // The end of a binary field's name and the first bytes of its length may look like a blank line. A NUL follows then.
    if (end < 0 || end + 10 > text.length) return from + at;
    const entry = text.slice(at, end + 2);
    if (!entry.startsWith(firstLine) || entry.includes('\n__CURSOR=')) return from + at;
    const cursor = entry.slice(9, entry.indexOf('\n'));
    entries.push({ kind: 'entry', cursor, text: entry, message: undefined, cut: 0 });
    at = end + 2;
  }
}
