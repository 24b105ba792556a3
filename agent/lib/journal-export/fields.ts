import { type LogEntry, item } from './entry.ts';

/** Receives the fields of an entry from the tokenizer. Values arrive in pieces, one character per byte (latin1). */
export interface FieldSink {
  begin(): void;
  /** @param length the eight bytes of length before a binary value; undefined for a text value */
  field(name: string, length: string | undefined): void;
  value(piece: string): void;
  endField(): void;
  /** Called after each step, so that the sink can emit a piece of a large entry. */
  overflow?(cursor: string, entries: LogEntry[]): void;
  end(cursor: string, entries: LogEntry[]): void;
}

/** The fields that a syslog message is built from, except those that journalctl always prints. */
export const syslogFields = [
  ...['MESSAGE', 'MESSAGE_ID', 'PRIORITY', 'SYSLOG_FACILITY', 'SYSLOG_IDENTIFIER', 'SYSLOG_PID'],
  ...['_COMM', '_HOSTNAME', '_PID', '_SYSTEMD_UNIT', '_TRANSPORT', '_UID'],
];
const always = ['__CURSOR', '__REALTIME_TIMESTAMP', '__MONOTONIC_TIMESTAMP', '_BOOT_ID'];

/** The maximum number of bytes of MESSAGE that are kept. Further bytes are only counted. */
const messageBytes = 1024 * 1024;
const valueBytes = 4096;

/** Keeps only certain fields and those that journalctl always prints, and only the first value of each, up to a limit. */
export class SelectedFields implements FieldSink {
  readonly #wanted: ReadonlySet<string>;
  readonly #seen = new Set<string>();
  #text = '';
  #message: string | undefined;
  #cut = 0;
  #current: 'dropped' | 'field' | 'message' = 'dropped';
  /** How many more bytes of the current field are kept. */
  #remaining = 0;

  constructor(fields: readonly string[]) {
    this.#wanted = new Set([...fields, ...always]);
  }

  begin(): void {
    this.#seen.clear();
    this.#text = '';
    this.#message = undefined;
    this.#cut = 0;
  }

  field(name: string): void {
    this.#current = 'dropped';
    if (!this.#wanted.has(name) || this.#seen.has(name)) return;
    this.#seen.add(name);
    if (name === 'MESSAGE') {
      this.#current = 'message';
      this.#message = '';
    } else {
      this.#current = 'field';
      this.#remaining = valueBytes;
      this.#text += `${name}=`;
    }
  }

  value(piece: string): void {
    if (this.#current === 'message') {
      const message = this.#message ?? '';
      const kept = piece.slice(0, messageBytes - message.length);
      this.#message = message + kept;
      this.#cut += piece.length - kept.length;
    } else if (this.#current === 'field') {
      // The header and the structured data of a syslog message must be on a single line.
      this.#text += piece.slice(0, this.#remaining).replaceAll('\n', '?');
      this.#remaining = Math.max(0, this.#remaining - piece.length);
    }
  }

  endField(): void {
    if (this.#current === 'field') this.#text += '\n';
    this.#current = 'dropped';
  }

  end(cursor: string, entries: LogEntry[]): void {
    entries.push({
      ...item('entry', cursor, `${this.#text}\n`),
      message: this.#message ?? '',
      cut: this.#cut,
    });
    this.begin();
  }
}

/** An entry larger than this is emitted in pieces. */
const pieceBytes = 1024 * 1024;

export class WholeEntries implements FieldSink {
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
    if (this.#text.length <= pieceBytes) return;
    entries.push(item('piece', cursor, this.#text));
    this.#text = '';
  }

  end(cursor: string, entries: LogEntry[]): void {
    entries.push(item('entry', cursor, `${this.#text}\n`));
    this.#text = '';
  }
}
