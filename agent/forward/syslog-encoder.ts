import { type Clock, ClockGuard } from './clock.ts';
import { field } from './entry.ts';
import type { Encoder, Message } from './message.ts';
import { split } from './split.ts';
import { SyslogHeader } from './syslog-header.ts';

/** Of IANA's private enterprise numbers, the one for examples (RFC 5612): the agent has none of its own. */
const dataId = 'journal@32473';

/**
 * Journal entries as RFC 5424 messages. The structured data has the cursor, by which duplicates can be told,
 * the boot, the unit and the user; a message that is too long goes in parts, each with `part="2/3"`.
 */
export class SyslogEncoder implements Encoder {
  readonly #header: SyslogHeader;
  readonly #clock: ClockGuard;
  readonly #limit: number;
  #host: string;

  /**
   * @param limit the longest message, in bytes
   * @param hostname for entries of a time when the host had no name, and for what the agent itself has to say
   */
  constructor(limit: number, clock: Clock, hostname: string) {
    this.#header = new SyslogHeader(hostname);
    this.#host = this.#header.host(hostname);
    this.#limit = limit;
    this.#clock = new ClockGuard(clock);
  }

  entry(cursor: string, text: string, message: string | undefined, cut: number, out: Message[]): void {
    const header = this.#header;
    const realtime = field(text, '\n__REALTIME_TIMESTAMP=');
    const boot = field(text, '\n_BOOT_ID=');
    this.#host = header.host(field(text, '\n_HOSTNAME='));
    const kernel = text.includes('\n_TRANSPORT=kernel\n');
    const severity = kernel ? level(text) : facility(text) * 8 + level(text);
    const app = field(text, '\nSYSLOG_IDENTIFIER=') || (kernel ? 'kernel' : field(text, '\n_COMM='));
    const process = field(text, '\nSYSLOG_PID=') || field(text, '\n_PID=');
    const unit = field(text, '\n_SYSTEMD_UNIT=');
    const uid = field(text, '\n_UID=');
    const head =
      `<${severity}>1 ${header.timestamp(realtime)} ${this.#host} ${header.name(app, 48)} ` +
      `${header.name(process, 128)} ${header.name(field(text, '\nMESSAGE_ID='), 32)} ` +
      (this.#clock.isSet(realtime, text, boot) ? '' : '[timeQuality isSynced="0"]') +
      `[${dataId} cursor="${cursor}" boot="${boot}"${unit === '' ? '' : ` unit="${header.value(unit)}"`}` +
      (uid === '' ? '' : ` uid="${header.value(uid)}"`);
    const said = message ?? field(text, '\nMESSAGE=');
    const length = head.length + 2 + said.length;
    if (length <= this.#limit && cut === 0) out.push({ text: `${head}] ${said}`, cursor });
    else this.#parts(head, said, cut, cursor, out);
  }

  notice(text: string, out: Message[]): void {
    const now = this.#header.timestamp(String(Date.now() * 1000));
    out.push({ text: `<44>1 ${now} ${this.#host} immutafs-agent - - - ${text}`, cursor: '' });
  }

  #parts(head: string, said: string, cut: number, cursor: string, out: Message[]): void {
    const whole = cut === 0 ? said : `${said} [immutafs-agent: ${cut} more bytes left out]`;
    const parts = split(whole, Math.max(64, this.#limit - head.length - ' part="9999/9999"] '.length));
    parts.forEach((part, index) => {
      const text = `${head} part="${index + 1}/${parts.length}"] ${part}`;
      out.push({ text, cursor: index === parts.length - 1 ? cursor : '' });
    });
  }
}

/** RFC 5424, section 6.2.1; user-level (1) where the field is missing or out of range. */
function facility(text: string): number {
  const value = field(text, '\nSYSLOG_FACILITY=');
  return /^([0-9]|1[0-9]|2[0-3])$/.test(value) ? Number(value) : 1;
}

/** The severity; informational (6), as journald has it, where the field is missing or out of range. */
function level(text: string): number {
  const value = field(text, '\nPRIORITY=');
  return value.length === 1 && value >= '0' && value <= '7' ? value.charCodeAt(0) - 48 : 6;
}
