import { cleanBytes, encodeBytes } from '../../lib/format.ts';
import { type LogEntry, field } from '../../lib/journal-export/entry.ts';
import { ownCopy } from '../../lib/memory.ts';
import type { Clock } from '../../system/clock.ts';
import { type Encoder, type LineChunk, type OutgoingMessage, filePosition } from '../stages.ts';
import { encodeEachLine, lineFacility, lineSeverity } from './file-lines.ts';

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

/** The parts of an RFC 5424 message that do not depend on the entry's time, cursor or text. */
interface SyslogHeader {
  /** The text before the timestamp. */
  before: string;
  /** The text between the timestamp and the structured data. */
  after: string;
  data: string;
  host: string;
  boot: string;
}

/** The maximum number of cached headers, and the maximum length of a cache key, in bytes. */
const cachedHeaders = 1000;
const longestKey = 2048;

/** This field differs in every entry and no header contains it, so the cache key omits it. */
const sourceTime = '\n_SOURCE_REALTIME_TIMESTAMP=';

/**
 * Builds headers from untrusted fields, which any process can set. Headers are cached, because a few of them serve
 * nearly all entries.
 */
class SyslogHeaders {
  readonly #hostname: string;
  readonly #cache = new Map<string, SyslogHeader>();

  constructor(hostname: string) {
    this.#hostname = hostname;
  }

  /**
   * Returns the header for an entry.
   * @param fields the lines of the entry that are often identical in other entries, beginning with a line feed
   */
  of(fields: string): SyslogHeader {
    const time = fields.indexOf(sourceTime);
    const key = time < 0 ? fields : fields.slice(0, time) + fields.slice(fields.indexOf('\n', time + 1));
    const known = this.#cache.get(key);
    if (known !== undefined) return known;
    const header = this.#make(key);
    if (key.length > longestKey) return header;
    if (this.#cache.size >= cachedHeaders) this.#cache.clear();
    this.#cache.set(ownCopy(key), header);
    return header;
  }

  #make(text: string): SyslogHeader {
    const kernel = text.includes('\n_TRANSPORT=kernel\n');
    const priority = kernel ? severityOf(text) : facilityOf(text) * 8 + severityOf(text);
    const host = this.host(field(text, '\n_HOSTNAME='));
    const app = field(text, '\nSYSLOG_IDENTIFIER=') || (kernel ? 'kernel' : field(text, '\n_COMM='));
    const process = field(text, '\nSYSLOG_PID=') || field(text, '\n_PID=');
    const id = field(text, '\nMESSAGE_ID=');
    const [boot, unit, uid] = [
      field(text, '\n_BOOT_ID='),
      field(text, '\n_SYSTEMD_UNIT='),
      field(text, '\n_UID='),
    ];
    return {
      before: `<${priority}>1 `,
      after: ownCopy(` ${host} ${printable(app, 48)} ${printable(process, 128)} ${printable(id, 32)} `),
      data: ownCopy(` boot="${boot}"${parameter('unit', unit)}${parameter('uid', uid)}`),
      host: ownCopy(host),
      boot: ownCopy(boot),
    };
  }

  /**
   * Returns the host name for a header. An unset host name is replaced by the name of this host. Otherwise, the first
   * kernel messages of all guests would come from one host "localhost", because the initramfs sets no host name.
   */
  host(value: string): string {
    return printable(/^(localhost(\..*)?|\(none\)|)$/.test(value) ? this.#hostname : value, 255);
  }
}

/**
 * Replaces spaces and characters that are not printable US-ASCII by '_', and an empty value by '-' (RFC 5424,
 * section 6).
 * @param limit the maximum length, in characters
 */
function printable(value: string, limit: number): string {
  return value.slice(0, limit).replace(/[^!-~]/g, '_') || '-';
}

/** Returns a parameter of the structured data (RFC 5424, section 6.3.3), or '' if the value is empty. */
function parameter(key: string, value: string): string {
  return value === '' ? '' : ` ${key}="${value.replace(/["\\\]]/g, '\\$&')}"`;
}

/** Returns the facility (RFC 5424, section 6.2.1), or user-level (1) if the field is missing or out of range. */
function facilityOf(text: string): number {
  const value = field(text, '\nSYSLOG_FACILITY=');
  return /^([0-9]|1[0-9]|2[0-3])$/.test(value) ? Number(value) : 1;
}

/** Returns the severity or, as journald does, informational (6) if the field is missing or out of range. */
function severityOf(text: string): number {
  const value = field(text, '\nPRIORITY=');
  return value.length === 1 && value >= '0' && value <= '7' ? value.charCodeAt(0) - 48 : 6;
}

/** Formats times in UTC with microseconds (RFC 5424, section 6.2.3). */
class Timestamps {
  #second = '';
  /** The formatted time up to the decimal point; '' if the time is out of range. */
  #date = '';
  #last = '';
  #formatted = '-';

  /** @param microseconds since 1970, in decimal digits */
  format(microseconds: string): string {
    if (microseconds === this.#last) return this.#formatted;
    const second = microseconds.slice(0, -6);
    if (second !== this.#second) {
      this.#second = second;
      const date = new Date(Number(second) * 1000);
      const valid = !Number.isNaN(date.getTime()) && date.getUTCFullYear() <= 9999;
      this.#date = valid ? date.toISOString().slice(0, 20) : '';
    }
    // A year before 0 has more digits, so the slice does not end at the decimal point.
    this.#formatted = this.#date.endsWith('.') ? `${this.#date}${microseconds.slice(-6)}Z` : '-';
    this.#last = microseconds;
    return this.#formatted;
  }
}

const toleranceMicroseconds = 1_000_000;

/**
 * Detects entries that were logged before the clock was set. In these entries, the difference between the realtime and
 * the monotonic timestamp differs from the current difference between the two clocks. The result is cached for entries
 * of the same second.
 */
class UnsetClockDetector {
  readonly #clock: Clock;
  #second = '';
  #boot = '';
  #set = true;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Whether the clock was set when the entry was logged.
   * @param realtime the entry's __REALTIME_TIMESTAMP
   * @param boot the boot ID of the entry; in earlier boots, the clock is assumed to have been set
   */
  isSet(realtime: string, text: string, boot: string): boolean {
    const second = realtime.slice(0, -6);
    if (second === this.#second && boot === this.#boot) return this.#set;
    this.#second = second;
    this.#boot = boot;
    const then = Number(realtime) - Number(field(text, '\n__MONOTONIC_TIMESTAMP='));
    const now = this.#clock.realtime() - this.#clock.monotonic();
    this.#set = boot !== this.#clock.bootId || !(Math.abs(now - then) > toleranceMicroseconds);
    return this.#set;
  }
}
