import { type LogEntry, item } from './entry.ts';
import { SelectedFields, WholeEntries } from './fields.ts';
import { ExportError, Tokenizer } from './tokenizer.ts';

export { ExportError };

/** An incomplete entry longer than this is passed to the tokenizer, which keeps its state between chunks. */
const carryBytes = 128 * 1024;
const nothing = Buffer.alloc(0);

/**
 * Splits data in the journal export format (systemd.io/JOURNAL_EXPORT_FORMATS) into entries. Accepts chunks of any size
 * and uses bounded memory. Entries that contain only text values and are complete in a chunk take a fast path.
 */
export class ExportParser {
  readonly #tokenizer: Tokenizer;
  /** The bytes of an incomplete entry, a copy that keeps no chunk alive. */
  #carried = nothing;

  /** @param fields the fields to keep; undefined to keep every byte */
  constructor(fields: readonly string[] | undefined) {
    this.#tokenizer = new Tokenizer(fields === undefined ? new WholeEntries() : new SelectedFields(fields));
  }

  /**
   * @returns the entries and pieces that this chunk completes, in order
   * @throws ExportError if the bytes are not in the export format; the parser must not be used afterwards
   */
  push(chunk: Buffer): LogEntry[] {
    const entries: LogEntry[] = [];
    const bytes = this.#carried.length === 0 ? chunk : Buffer.concat([this.#carried, chunk]);
    this.#carried = nothing;
    let at = 0;
    while (at < bytes.length) {
      if (!this.#tokenizer.active) {
        at = cutTextEntries(bytes, at, entries);
        if (at === bytes.length) break;
        if (bytes.length - at < carryBytes && bytes.indexOf('\n\n', at) < 0 && bytes.indexOf(0, at) < 0) {
          this.#carried = Buffer.from(bytes.subarray(at));
          break;
        }
      }
      at = this.#tokenizer.run(bytes, at, entries);
    }
    return entries;
  }

  /** Whether the bytes so far end within an entry. */
  get isWithinEntry(): boolean {
    return this.#tokenizer.active || this.#carried.length > 0;
  }

  /**
   * Must be called at the end of the input.
   * @returns the cursor of the last entry if the entry is incomplete ('' if its cursor was not read), else undefined
   */
  end(): string | undefined {
    if (this.#carried.length > 0) this.#tokenizer.run(this.#carried, 0, []);
    this.#carried = nothing;
    return this.#tokenizer.active ? this.#tokenizer.cursor : undefined;
  }
}

const firstLine = '__CURSOR=';

/**
 * Appends complete entries that contain only text values to `entries`, by native searches. A NUL indicates a binary
 * value, because the eight bytes of the value's length contain at least one NUL.
 * @returns the offset of the first entry that is incomplete or has a binary value
 */
function cutTextEntries(bytes: Buffer, from: number, entries: LogEntry[]): number {
  const nul = bytes.indexOf(0, from);
  const text = bytes.toString('latin1', from, nul < 0 ? bytes.length : nul);
  for (let at = 0; ;) {
    // The line feed after a binary field's name and the first byte of its length may look like a blank line. In this
    // case, a NUL follows within the length.
    const end = text.indexOf('\n\n', at);
    if (end < 0 || end + 10 > text.length) return from + at;
    const entry = text.slice(at, end + 2);
    if (!entry.startsWith(firstLine) || entry.includes('\n__CURSOR=')) return from + at;
    entries.push(item('entry', entry.slice(9, entry.indexOf('\n')), entry));
    at = end + 2;
  }
}
