import type { LogEntry } from '../reader.ts';
import type { FieldSink } from './tokenizer.ts';

/** An entry larger than this is emitted in pieces. */
const entryBytes = 1024 * 1024;

/** Keeps every byte of an entry. */
export class Passthrough implements FieldSink {
  #text = '';

  begin(): void {
    this.#text = '';
  }

  field(name: string, length: string | undefined): void {
    this.#text += length === undefined ? `${name}=` : `${name}\n${length}`;
  }

  value(piece: string): void {
    this.#text += piece;
  }

  endField(): void {
    this.#text += '\n';
  }

  overflow(cursor: string, entries: LogEntry[]): void {
    if (this.#text.length <= entryBytes) return;
    entries.push({ kind: 'piece', cursor, text: this.#text, message: undefined, cut: 0 });
    this.#text = '';
  }

  end(cursor: string, entries: LogEntry[]): void {
    entries.push({ kind: 'entry', cursor, text: `${this.#text}\n`, message: undefined, cut: 0 });
    this.#text = '';
  }
}
