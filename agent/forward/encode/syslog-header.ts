import { field } from '../reader.ts';
import { ownCopy } from '../../lib/memory.ts';

/** The parts of an RFC 5424 message that depend neither on the entry's time nor on its cursor and text. */
export interface SyslogHeader {
  /** Up to the time. */
  before: string;
  /** From the time to the structured data. */
  after: string;
  /** Parameters of the structured data. */
  data: string;
  host: string;
  boot: string;
}

/** How many headers are cached, and the longest fields, in bytes, whose header is cached. */
const cachedHeaders = 1000;
const longestKey = 2048;

/** Differs in every entry, and no header contains it: left out of the cache's key. */
const sourceTime = '\n_SOURCE_REALTIME_TIMESTAMP=';

/** Builds headers from fields that any process can set. A few headers serve nearly all entries, so they are cached. */
export class SyslogHeaders {
  readonly #hostname: string;
  readonly #cache = new Map<string, SyslogHeader>();

  /** @param hostname this host's own */
  constructor(hostname: string) {
    this.#hostname = hostname;
  }

  /** @param fields the lines of an entry that are often the same in others, beginning with a line feed */
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
   * In the initramfs the host has no name yet: without a replacement, the first kernel messages of all guests would
   * come from one host "localhost".
   */
  host(value: string): string {
    return printable(/^(localhost(\..*)?|\(none\)|)$/.test(value) ? this.#hostname : value, 255);
  }
}

/** RFC 5424, section 6: printable US-ASCII without space, '-' if empty. @param limit in characters */
function printable(value: string, limit: number): string {
  return value.slice(0, limit).replace(/[^!-~]/g, '_') || '-';
}

/** RFC 5424, section 6.3.3. */
function parameter(key: string, value: string): string {
  return value === '' ? '' : ` ${key}="${value.replace(/["\\\]]/g, '\\$&')}"`;
}

/** RFC 5424, section 6.2.1; user-level (1) if the field is missing or out of range. */
function facilityOf(text: string): number {
  const value = field(text, '\nSYSLOG_FACILITY=');
  return /^([0-9]|1[0-9]|2[0-3])$/.test(value) ? Number(value) : 1;
}

/** Informational (6), as in journald, if the field is missing or out of range. */
function severityOf(text: string): number {
  const value = field(text, '\nPRIORITY=');
  return value.length === 1 && value >= '0' && value <= '7' ? value.charCodeAt(0) - 48 : 6;
}
