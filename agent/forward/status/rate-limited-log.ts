import { type Log, priority } from '../../system/log.ts';
import { forwardMessages } from './messages.ts';

/** Lines of the agent's own that may come in a row, and how long one of them takes to be allowed again. */
const burst = 10;
const refillMilliseconds = 60_000;

/**
 * The forwarder's own log: changes of state only, since each line is itself forwarded. Rate-limited, with a
 * count of what was not said.
 */
export class Voice {
  readonly #log: Log;
  readonly #now: () => number;
  #tokens = burst;
  #at: number;
  #unsaid = 0;
  #last = '';

  constructor(log: Log, now: () => number = Date.now) {
    this.#log = log;
    this.#now = now;
    this.#at = now();
  }

  connected(target: string): void {
    this.#say(priority.notice, `Forwarding the journal to ${target}`, 'connected');
  }

  waiting(target: string, reason: string): void {
    this.#say(priority.warning, `Cannot forward the journal to ${target}: ${reason}`, 'waiting');
  }

  trouble(reason: string): void {
    this.#say(priority.warning, `Forwarding: ${reason}`, 'trouble');
  }

  ended(reason: string): void {
    this.#say(priority.notice, `Forwarding ended: ${reason}`, 'ended');
  }

  misconfigured(reason: string): void {
    this.#say(priority.error, `Forwarding does not start: ${reason}`, 'misconfigured');
  }

  #say(level: number, text: string, id: keyof typeof forwardMessages): void {
    if (text === this.#last) return;
    const passed = (this.#now() - this.#at) / refillMilliseconds;
    this.#tokens = Math.min(burst, this.#tokens + Math.max(0, passed));
    this.#at = this.#now();
    if (this.#tokens < 1) {
      this.#unsaid += 1;
      return;
    }
    this.#tokens -= 1;
    this.#last = text;
    const unsaid = this.#unsaid === 0 ? '' : ` (${this.#unsaid} messages before were left out)`;
    this.#unsaid = 0;
    this.#log(level, `${text}${unsaid}`, { MESSAGE_ID: forwardMessages[id].messageId });
  }
}
