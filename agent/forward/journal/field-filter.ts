import type { Entry } from './entry.ts';
import type { FieldSink } from './tokenizer.ts';

/** Fields that a syslog message is made of (syslog-encoder.ts), beside those that every entry begins with. */
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

const wanted = new Set([
  ...syslogFields,
  ...['__CURSOR', '__REALTIME_TIMESTAMP', '__MONOTONIC_TIMESTAMP', '_BOOT_ID'],
]);

/** Bytes of MESSAGE that are kept; the rest is counted. */
export const messageBytes = 1024 * 1024;
const valueBytes = 4096;

/** Keeps only the wanted fields of an entry, each once and none larger than its limit. */
export class Skimmer implements FieldSink {
  readonly #seen = new Set<string>();
  #text = '';
  #message: string | undefined;
  #cut = 0;
  #open: 'none' | 'field' | 'message' = 'none';
  #room = 0;

  begin(): void {
    this.#seen.clear();
    this.#text = '';
    this.#message = undefined;
    this.#cut = 0;
  }

  field(name: string): void {
    this.#open = 'none';
    if (name === 'MESSAGE') {
      if (this.#message !== undefined) return;
      this.#open = 'message';
      this.#message = '';
    } else if (wanted.has(name) && !this.#seen.has(name)) {
      this.#seen.add(name);
      this.#open = 'field';
      this.#room = valueBytes;
      this.#text += `${name}=`;
    }
  }

  value(piece: string): void {
    if (this.#open === 'message') {
      const message = this.#message ?? '';
      const kept = piece.slice(0, messageBytes - message.length);
      this.#message = message + kept;
      this.#cut += piece.length - kept.length;
    } else if (this.#open === 'field') {
      // A line of its own is all that a field of the header or of the structured data can be.
      this.#text += piece.slice(0, this.#room).replaceAll('\n', '?');
      this.#room = Math.max(0, this.#room - piece.length);
    }
  }

  endField(): void {
    if (this.#open === 'field') this.#text += '\n';
    this.#open = 'none';
  }

  overflow(): void {
    // Nothing grows beyond the limits.
  }

  end(cursor: string, entries: Entry[]): void {
    const message = this.#message ?? '';
    entries.push({ kind: 'entry', cursor, text: `${this.#text}\n`, message, cut: this.#cut });
    this.begin();
  }
}
