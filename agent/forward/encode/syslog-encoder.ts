import { cleanBytes, encodeBytes } from '../../lib/format.ts';
import { type LogEntry, field } from '../../lib/journal-export/entry.ts';
import type { Clock } from '../../system/clock.ts';
import { type Encoder, type LineChunk, type OutgoingMessage, filePosition } from '../stages.ts';
import { encodeEachLine, lineFacility, lineSeverity } from './file-lines.ts';
import { SyslogHeaders, Timestamps, UnsetClockDetector, parameter, printable } from './syslog-header.ts';

/** Contains the private enterprise number for documentation (RFC 5612), because the agent has no number of its own. */
const dataId = 'journal@32473';
const fileDataId = 'file@32473';
const messageKey = '\nMESSAGE=';

/**
 * Encodes journal entries as RFC 5424 messages. The structured data contains the cursor (which identifies duplicates),
 * the boot ID, the unit and the user ID. A message that exceeds the limit is sent in numbered parts (`part="2/3"`).
 */
export class SyslogEncoder implements Encoder {
  readonly #headers: SyslogHeaders;
  readonly #timestamps = new Timestamps();
  readonly #unsetClock: UnsetClockDetector;
  readonly #clock: Clock;
  readonly #limit: number;
  #host: string;

  /**
   * @param limit the maximum length of a message, in bytes
   * @param hostname the host name for the agent's own messages and for entries that were logged before it was set
   */
  constructor(limit: number, clock: Clock, hostname: string) {
    this.#headers = new SyslogHeaders(hostname);
    this.#host = this.#headers.host(hostname);
    this.#limit = limit;
    this.#clock = clock;
    this.#unsetClock = new UnsetClockDetector(clock);
  }

  encode({ cursor, text, message, cut }: LogEntry, out: OutgoingMessage[]): void {
    const realtime = field(text, '\n__REALTIME_TIMESTAMP=');
    // The fields before _BOOT_ID differ in every entry. Of the fields after _BOOT_ID, usually only MESSAGE differs.
    const from = Math.max(0, text.indexOf('\n_BOOT_ID='));
    const at = text.indexOf(messageKey, from);
    const end = at < 0 ? from : text.indexOf('\n', at + messageKey.length);
    const fields = at < 0 ? text.slice(from) : text.slice(from, at) + text.slice(end);
    const content = message ?? (at < 0 ? '' : text.slice(at + messageKey.length, end));
    const { before, after, data, host, boot } = this.#headers.of(fields);
    this.#host = host;
    const quality = this.#unsetClock.isSet(realtime, text, boot) ? '' : '[timeQuality isSynced="0"]';
    const head = `${before}${this.#timestamps.format(realtime)}${after}${quality}[${dataId} cursor="${cursor}"${data}`;
    this.#add(head, content, cut, cursor, out);
  }

  /**
   * The structured data of a line contains the name of the log, and the inode and offset, which identify duplicates. A
   * record of the audit trail has its own time, and its type as MSGID; other lines have the time at which they were read.
   */
  encodeLines(chunk: LineChunk, out: OutgoingMessage[]): void {
    const { id, path, inode } = chunk;
    const now = this.#timestamps.format(String(this.#clock.realtime()));
    const data = `[${fileDataId}${parameter('path', encodeBytes(path))} inode="${inode}" boot="${this.#clock.bootId}" offset="`;
    encodeEachLine(
      chunk,
      (record, program) =>
        ` ${this.#host} ${printable(program, 48)} - ${printable(record?.type ?? '', 32)} ${data}`,
      (line, record, common, offset, end, isIncomplete) => {
        const priority = lineFacility(record) * 8 + lineSeverity;
        const time = record === undefined ? now : this.#timestamps.format(record.time);
        const head = `<${priority}>1 ${time}${common}${offset}"${isIncomplete ? ' incomplete="1"' : ''}`;
        this.#add(head, line, 0, filePosition(id, end), out);
      },
    );
  }

  encodeNotice(text: string, out: OutgoingMessage[]): void {
    const now = this.#timestamps.format(String(this.#clock.realtime()));
    out.push({ text: `<44>1 ${now} ${this.#host} immutafs-agent - - - ${cleanBytes(text)}`, cursor: '' });
  }

  /** Adds a message, in parts if it exceeds the limit. @param head the message up to the end of the structured data */
  #add(head: string, content: string, cut: number, cursor: string, out: OutgoingMessage[]): void {
    if (head.length + 2 + content.length <= this.#limit && cut === 0) {
      out.push({ text: `${head}] ${content}`, cursor });
      return;
    }
    const whole = cut === 0 ? content : `${content} [immutafs-agent: ${cut} more bytes left out]`;
    const parts = split(whole, Math.max(64, this.#limit - head.length - ' part="9999/9999"] '.length));
    parts.forEach((part, index) => {
      const text = `${head} part="${index + 1}/${parts.length}"] ${part}`;
      out.push(index === parts.length - 1 ? { text, cursor } : { text, cursor: '', continues: true });
    });
  }
}

/**
 * Splits a text into parts, never within a UTF-8 sequence.
 * @param text one character per byte (latin1)
 * @param limit the maximum length of a part, in bytes; at least 4
 */
function split(text: string, limit: number): string[] {
  const parts: string[] = [];
  let from = 0;
  while (text.length - from > limit) {
    const end = beforeSequence(text, from + limit);
    parts.push(text.slice(from, end));
    from = end;
  }
  parts.push(text.slice(from));
  return parts;
}

/**
 * Moves an offset back to the first byte of a UTF-8 sequence. Continuation bytes are 10xxxxxx, at most three in a row
 * (RFC 3629). If there are more, the text is not UTF-8, and the offset is returned unchanged.
 */
function beforeSequence(text: string, end: number): number {
  for (let back = 0; back < 4; back += 1) {
    if ((text.charCodeAt(end - back) & 0xc0) !== 0x80) return end - back;
  }
  return end;
}
