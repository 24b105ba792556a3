import type { Entry } from './entry.ts';
import { ExportError, Tokenizer, type ParserMode } from './tokenizer.ts';

export { ExportError };

const firstLine = '__CURSOR=';
/** More of an unfinished entry than this goes to the tokenizer, which keeps its state from chunk to chunk. */
const carryBytes = 128 * 1024;
/** What a pipe gives at once. */
const chunkBytes = 64 * 1024;

/**
 * Cuts the journal export format (systemd.io/JOURNAL_EXPORT_FORMATS) into entries, from chunks of any size, in
 * bounded memory. Entries of text alone, whole in a chunk, go a fast path of native searches: the only format
 * with a NUL before its value's bytes is the binary one, since its eight bytes of length have one.
 */
export class ExportParser {
  readonly #tokenizer: Tokenizer;
  /** What is carried over, and the next chunk after it: in one place, so that no chunk lives longer than its turn. */
  #space = Buffer.allocUnsafeSlow(carryBytes + chunkBytes);
  #carried = 0;

  /** @param mode `whole` hands on every byte; `skim` only what a syslog message is made of */
  constructor(mode: ParserMode) {
    this.#tokenizer = new Tokenizer(mode);
  }

  /**
   * @returns what was completed by this chunk, in order
   * @throws ExportError where the bytes are not the export format; the parser is then of no more use
   */
  push(chunk: Buffer): Entry[] {
    const entries: Entry[] = [];
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

  /** At the end of the bytes. @returns the cursor of an entry that has no end ('' if not even that), if any */
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

/** @returns where the first entry begins that is not one of text alone, or not whole */
function cutTextEntries(bytes: Buffer, from: number, entries: Entry[]): number {
  const nul = bytes.indexOf(0, from);
  const text = bytes.toString('latin1', from, nul < 0 ? bytes.length : nul);
  let at = 0;
  for (;;) {
    const end = text.indexOf('\n\n', at);
    // A name's end and the first bytes of its value's length may look like a blank line: a NUL would follow.
    if (end < 0 || end + 10 > text.length) return from + at;
    const entry = text.slice(at, end + 2);
    if (!entry.startsWith(firstLine) || entry.includes('\n__CURSOR=')) return from + at;
    const cursor = entry.slice(9, entry.indexOf('\n'));
    entries.push({ kind: 'entry', cursor, text: entry, message: undefined, cut: 0 });
    at = end + 2;
  }
}
