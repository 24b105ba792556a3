import { type Clock, ClockGuard } from '../../system/clock.ts';
import { field } from '../journal/entry.ts';
import type { Encoder, Message } from './message.ts';
import { split } from './split.ts';
import { SyslogHeaders } from './syslog-header.ts';
import { Timestamps } from './timestamps.ts';

/** Of IANA's private enterprise numbers, the one for examples (RFC 5612): the agent has none of its own. */
const dataId = 'journal@32473';
const messageKey = '\nMESSAGE=';

/**
 * Journal entries as RFC 5424 messages. The structured data has the cursor, by which duplicates can be told,
 * the boot, the unit and the user; a message that is too long goes in parts, each with `part="2/3"`.
 */
export class SyslogEncoder implements Encoder {
  readonly #headers: SyslogHeaders;
  readonly #timestamps = new Timestamps();
  readonly #clock: ClockGuard;
  readonly #limit: number;
  #host: string;

  /**
   * @param limit the longest message, in bytes
   * @param hostname for entries of a time when the host had no name, and for what the agent itself has to say
   */
  constructor(limit: number, clock: Clock, hostname: string) {
    this.#headers = new SyslogHeaders(hostname);
    this.#host = this.#headers.host(hostname);
    this.#limit = limit;
    this.#clock = new ClockGuard(clock);
  }

  entry(cursor: string, text: string, message: string | undefined, cut: number, out: Message[]): void {
    const realtime = field(text, '\n__REALTIME_TIMESTAMP=');
    // What comes before the boot is the entry's own; of what comes after it, only the message usually is.
    const from = Math.max(0, text.indexOf('\n_BOOT_ID='));
    const at = text.indexOf(messageKey, from);
    const end = at < 0 ? from : text.indexOf('\n', at + messageKey.length);
    const fields = at < 0 ? text.slice(from) : text.slice(from, at) + text.slice(end);
    const said = message ?? (at < 0 ? '' : text.slice(at + messageKey.length, end));
    const { before, after, data, host, boot } = this.#headers.of(fields);
    this.#host = host;
    const quality = this.#clock.isSet(realtime, text, boot) ? '' : '[timeQuality isSynced="0"]';
    const head = `${before}${this.#timestamps.format(realtime)}${after}${quality}[${dataId} cursor="${cursor}"${data}`;
    if (head.length + 2 + said.length <= this.#limit && cut === 0)
      out.push({ text: `${head}] ${said}`, cursor });
    else this.#parts(head, said, cut, cursor, out);
  }

  notice(text: string, out: Message[]): void {
    const now = this.#timestamps.format(String(Date.now() * 1000));
    out.push({ text: `<44>1 ${now} ${this.#host} immutafs-agent - - - ${text}`, cursor: '' });
  }

  #parts(head: string, said: string, cut: number, cursor: string, out: Message[]): void {
    const whole = cut === 0 ? said : `${said} [immutafs-agent: ${cut} more bytes left out]`;
    const parts = split(whole, Math.max(64, this.#limit - head.length - ' part="9999/9999"] '.length));
    parts.forEach((part, index) => {
      const text = `${head} part="${index + 1}/${parts.length}"] ${part}`;
      out.push(index === parts.length - 1 ? { text, cursor } : { text, cursor: '', goesOn: true });
    });
  }
}
