import { type Log, priority } from '../../system/log.ts';
import { forwardMessages } from './catalog.ts';

const beginnings = {
  connected: [priority.notice, 'Forwarding the journal to '],
  waiting: [priority.warning, 'Cannot forward the journal to '],
  trouble: [priority.warning, 'Forwarding: '],
  ended: [priority.notice, 'Forwarding ended: '],
  discarded: [priority.warning, ''],
  misconfigured: [priority.error, 'Forwarding does not start: '],
} as const;

/** The number of messages that may be logged in a burst, and the time after which another message is allowed. */
const burst = 10;
const refillMilliseconds = 60_000;

/**
 * Logs the forwarder's own messages. Only changes of state are logged, because every line is itself forwarded. A
 * repeated message is logged once. Messages beyond the rate limit are only counted.
 */
export class RateLimitedLog {
  readonly #log: Log;
  readonly #now: () => number;
  #tokens = burst;
  #at: number;
  #suppressed = 0;
  #last = '';

  /** @param now returns the milliseconds since an arbitrary point in time */
  constructor(log: Log, now: () => number) {
    this.#log = log;
    this.#now = now;
    this.#at = now();
  }

  /** @param detail follows the fixed beginning of the message */
  log(id: keyof typeof forwardMessages, detail: string): void {
    const [level, beginning] = beginnings[id];
    const text = `${beginning}${detail}`;
    if (text === this.#last) return;
    const passed = (this.#now() - this.#at) / refillMilliseconds;
    this.#tokens = Math.min(burst, this.#tokens + Math.max(0, passed));
    this.#at = this.#now();
    if (this.#tokens < 1) {
      this.#suppressed += 1;
      return;
    }
    this.#tokens -= 1;
    this.#last = text;
    const note = this.#suppressed === 0 ? '' : ` (${this.#suppressed} messages before were left out)`;
    this.#suppressed = 0;
    this.#log(level, `${text}${note}`, { MESSAGE_ID: forwardMessages[id].messageId });
  }
}
