import type { LogEntry } from '../reader.ts';
import type { FieldSink } from './tokenizer.ts';

/** The fields that a syslog message is built from (syslog-encoder.ts), except those that journalctl always prints. */
export const syslogFields = [
  'MESSAGE',
  'MESSAGE_ID',
  'PRIORITY',
  'SYSLOG_FACILITY',
  'SYSLOG_IDENTIFIER',
  'SYSLOG_PID',
  '_COMM',
  '_HOSTNAME',
  '_PID',
  '_SYSTEMD_UNIT',
  '_TRANSPORT',
  '_UID',
];

/** The fields from which a rehearsal learns what failed (journal-watch.ts): systemd names the unit of a message in UNIT. */
export const watchedFields = [...syslogFields, 'UNIT'];

const wanted = new Set([
  ...watchedFields,
  ...['__CURSOR', '__REALTIME_TIMESTAMP', '__MONOTONIC_TIMESTAMP', '_BOOT_ID'],
]);

/** The maximum number of bytes of MESSAGE that are kept. Further bytes are only counted. */
const messageBytes = 1024 * 1024;
const valueBytes = 4096;

/** Keeps only the fields of a syslog message and of the watch, and only the first value of each field, up to a limit. */
export class FieldFilter implements FieldSink {
  readonly #seen = new Set<string>();
  #text = '';
  #message: string | undefined;
  #cut = 0;
  #current: 'dropped' | 'field' | 'message' = 'dropped';
  /** How many more bytes of the current field are kept. */
  #remaining = 0;

  begin(): void {
    this.#seen.clear();
    this.#text = '';
    this.#message = undefined;
    this.#cut = 0;
  }

  field(name: string): void {
    this.#current = 'dropped';
    if (name === 'MESSAGE') {
      if (this.#message !== undefined) return;
      this.#current = 'message';
      this.#message = '';
    } else if (wanted.has(name) && !this.#seen.has(name)) {
      this.#seen.add(name);
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

  overflow(): void {
    // Nothing to emit, because the size of every field is limited.
  }

  end(cursor: string, entries: LogEntry[]): void {
    const message = this.#message ?? '';
    entries.push({ kind: 'entry', cursor, text: `${this.#text}\n`, message, cut: this.#cut });
    this.begin();
  }
}
