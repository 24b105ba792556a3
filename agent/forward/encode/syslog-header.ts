import { field } from '../journal/entry.ts';
import { ownCopy } from '../../lib/memory.ts';

/** What an entry's fields make of an RFC 5424 message, but for its time, its cursor and its text. */
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

/** How many headers are remembered, and of how many bytes of fields at most. */
const remembered = 1000;
const longest = 2048;

/** Changes from entry to entry, and no header has it. */
const sourceTime = '\n_SOURCE_REALTIME_TIMESTAMP=';

/** Headers, made of fields that anyone who may log can fill. Few make up nearly all entries: they are remembered. */
export class SyslogHeaders {
  readonly #hostname: string;
  readonly #known = new Map<string, SyslogHeader>();

  /** @param hostname this host's own */
  constructor(hostname: string) {
    this.#hostname = hostname;
  }

  /** @param fields lines of an entry that do not change from entry to entry, beginning with a line feed */
  of(fields: string): SyslogHeader {
    const time = fields.indexOf(sourceTime);
    const key = time < 0 ? fields : fields.slice(0, time) + fields.slice(fields.indexOf('\n', time + 1));
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const header = this.#make(key);
    if (key.length > longest) return header;
    if (this.#known.size >= remembered) this.#known.clear();
    this.#known.set(ownCopy(key), header);
    return header;
  }

  #make(text: string): SyslogHeader {
    const kernel = text.includes('\n_TRANSPORT=kernel\n');
    const severity = kernel ? level(text) : facility(text) * 8 + level(text);
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
      before: `<${severity}>1 `,
      after: ownCopy(` ${host} ${name(app, 48)} ${name(process, 128)} ${name(id, 32)} `),
      data: ownCopy(` boot="${boot}"${parameter('unit', unit)}${parameter('uid', uid)}`),
      host: ownCopy(host),
      boot: ownCopy(boot),
    };
  }

  /**
   * Until the initramfs is left, the host has no name of its own: the kernel's first lines, of all guests, would be
   * those of one "localhost".
   */
  host(value: string): string {
    return name(/^(localhost(\..*)?|\(none\)|)$/.test(value) ? this.#hostname : value, 255);
  }
}

/** RFC 5424, section 6: printable US-ASCII without space, '-' for nothing. @param limit in characters */
function name(value: string, limit: number): string {
  return value.slice(0, limit).replace(/[^!-~]/g, '_') || '-';
}

/** Section 6.3.3. */
function parameter(key: string, value: string): string {
  return value === '' ? '' : ` ${key}="${value.replace(/["\\\]]/g, '\\$&')}"`;
}

/** Section 6.2.1; user-level (1) where the field is missing or out of range. */
function facility(text: string): number {
  const value = field(text, '\nSYSLOG_FACILITY=');
  return /^([0-9]|1[0-9]|2[0-3])$/.test(value) ? Number(value) : 1;
}

/** The severity; informational (6), as journald has it, where the field is missing or out of range. */
function level(text: string): number {
  const value = field(text, '\nPRIORITY=');
  return value.length === 1 && value >= '0' && value <= '7' ? value.charCodeAt(0) - 48 : 6;
}
