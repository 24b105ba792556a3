import { type Log, priority } from '../../system/log.ts';
import { forwardMessages } from './catalog.ts';

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

  connected(target: string): void {
    this.#write(priority.notice, `Forwarding the journal to ${target}`, 'connected');
  }

  waiting(target: string, reason: string): void {
    this.#write(priority.warning, `Cannot forward the journal to ${target}: ${reason}`, 'waiting');
  }

  trouble(reason: string): void {
    this.#write(priority.warning, `Forwarding: ${reason}`, 'trouble');
  }

  ended(reason: string): void {
    this.#write(priority.notice, `Forwarding ended: ${reason}`, 'ended');
  }

  discarded(text: string): void {
    this.#write(priority.warning, text, 'discarded');
  }

  misconfigured(reason: string): void {
    this.#write(priority.error, `Forwarding does not start: ${reason}`, 'misconfigured');
  }

  #write(level: number, text: string, id: keyof typeof forwardMessages): void {
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
