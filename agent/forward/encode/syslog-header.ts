import { field } from '../../lib/journal-export/entry.ts';
import { ownCopy } from '../../lib/memory.ts';
import type { Clock } from '../../system/clock.ts';

/** The parts of an RFC 5424 message that do not depend on the entry's time, cursor or text. */
interface SyslogHeader {
  /** The text before the timestamp. */
  before: string;
  /** The text between the timestamp and the structured data. */
  after: string;
  /** The parameters of the structured data. */
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
export class SyslogHeaders {
  readonly #hostname: string;
  readonly #cache = new Map<string, SyslogHeader>();

  /** @param hostname the name of this host */
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
export function printable(value: string, limit: number): string {
  return value.slice(0, limit).replace(/[^!-~]/g, '_') || '-';
}

/** Returns a parameter of the structured data (RFC 5424, section 6.3.3), or '' if the value is empty. */
export function parameter(key: string, value: string): string {
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
export class Timestamps {
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
export class UnsetClockDetector {
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
   * @param text the entry
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
