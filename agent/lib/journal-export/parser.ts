import { type LogEntry, item } from './entry.ts';
import { type FieldSink, SelectedFields, WholeEntries } from './fields.ts';

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

/** Thrown if the bytes are not in the journal export format. */
export class ExportError extends Error {
  override name = 'ExportError';
}

/** The maximum length of a field name. journald's limit is 64 (journal-util.c, journal_field_valid). */
const nameBytes = 256;
/** A greater length is corrupt, because systemd's limit is 768 MiB (journal-importer.h, DATA_SIZE_MAX). */
const valueBytes = 2 ** 40;

/** Parses the complete export format, at most one entry per call of `run`. Chunks may end at any byte. */
class Tokenizer {
  /** Whether the last byte read was within an entry. */
  active = false;
  cursor = '';
  readonly #sink: FieldSink;
  #state: 'name' | 'text' | 'length' | 'binary' | 'binary-end' = 'name';
  #name = '';
  /** The beginning of a name or a length that continues in the next chunk. */
  #held = '';
  #remaining = 0;

  constructor(sink: FieldSink) {
    this.#sink = sink;
  }

  /**
   * Reads up to the end of the entry or the end of the bytes, whichever comes first.
   * @returns the offset after the last byte that was read
   * @throws ExportError
   */
  run(bytes: Buffer, from: number, entries: LogEntry[]): number {
    let at = from;
    if (!this.active) {
      if (bytes[at] === 10) return at + 1;
      this.#begin();
    }
    while (this.active && at < bytes.length) {
      at = this.#step(bytes, at, entries);
      this.#sink.overflow?.(this.cursor, entries);
    }
    return at;
  }

  #begin(): void {
    this.active = true;
    this.cursor = '';
    this.#state = 'name';
    this.#held = '';
    this.#sink.begin();
  }

  #step(bytes: Buffer, at: number, entries: LogEntry[]): number {
    switch (this.#state) {
      case 'name':
        return this.#readName(bytes, at, entries);
      case 'text':
        return this.#readText(bytes, at);
      case 'length':
        return this.#readLength(bytes, at);
      case 'binary':
        return this.#readBinary(bytes, at);
      case 'binary-end':
        if (bytes[at] !== 10) throw new ExportError('no line feed after a binary value');
        this.#endField();
        return at + 1;
    }
  }

  #readName(bytes: Buffer, at: number, entries: LogEntry[]): number {
    const held = this.#held.length;
    const head = this.#held + bytes.toString('latin1', at, Math.min(bytes.length, at + nameBytes - held));
    const line = head.indexOf('\n');
    const sign = head.indexOf('=');
    const text = sign >= 0 && (line < 0 || sign < line);
    const end = text ? sign : line;
    if (end < 0 && head.length >= nameBytes) throw new ExportError('a line that is not a field');
    this.#held = end < 0 ? head : '';
    if (end < 0) return bytes.length;
    this.#name = head.slice(0, end);
    if (text) this.#beginText(entries);
    else if (end > 0) this.#state = 'length';
    else this.#end(entries);
    return at + end + 1 - held;
  }

  /**
   * Begins a text value. A __CURSOR field always begins an entry, even without the blank line, which journalctl omits
   * after a corrupt entry.
   */
  #beginText(entries: LogEntry[]): void {
    if (this.#name === '__CURSOR' && this.cursor !== '') {
      entries.push(item('partial', this.cursor, ''));
      this.#begin();
    }
    this.#state = 'text';
    this.#sink.field(this.#name, undefined);
  }

  #readText(bytes: Buffer, at: number): number {
    const line = bytes.indexOf(10, at);
    const piece = bytes.toString('latin1', at, line < 0 ? bytes.length : line);
    if (this.#name === '__CURSOR') this.cursor = (this.cursor + piece).slice(0, nameBytes);
    this.#sink.value(piece);
    if (line < 0) return bytes.length;
    this.#endField();
    return line + 1;
  }

  #readLength(bytes: Buffer, at: number): number {
    const wanted = Math.min(bytes.length, at + 8 - this.#held.length);
    this.#held += bytes.toString('latin1', at, wanted);
    if (this.#held.length < 8) return wanted;
    const length = Buffer.from(this.#held, 'latin1').readBigUInt64LE();
    if (length > valueBytes) throw new ExportError(`a value of ${length} bytes`);
    this.#sink.field(this.#name, this.#held);
    this.#held = '';
    this.#remaining = Number(length);
    this.#state = this.#remaining > 0 ? 'binary' : 'binary-end';
    return wanted;
  }

  #readBinary(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.#remaining);
    this.#sink.value(bytes.toString('latin1', at, end));
    this.#remaining -= end - at;
    if (this.#remaining === 0) this.#state = 'binary-end';
    return end;
  }

  #endField(): void {
    this.#sink.endField();
    this.#state = 'name';
  }

  #end(entries: LogEntry[]): void {
    this.active = false;
    this.#sink.end(this.cursor, entries);
  }
}
