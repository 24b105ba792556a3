import type { FieldSelection, LogEntry } from '../reader.ts';
import { FieldFilter } from './field-filter.ts';
import { Passthrough } from './passthrough.ts';
import { cutTextEntries } from './text-entries.ts';
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
