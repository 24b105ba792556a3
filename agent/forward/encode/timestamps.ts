import type { Clock } from '../../system/clock.ts';
import { field } from '../reader.ts';

/** Formats times as RFC 5424, section 6.2.3: UTC with six digits of a second. */
export class Timestamps {
  #second = '';
  /** Up to the second; '' if there is no such date. */
  #date = '';

  /** @param microseconds since 1970, in decimal digits */
  format(microseconds: string): string {
    const second = microseconds.slice(0, -6);
    if (second !== this.#second) {
      this.#second = second;
      const date = new Date(Number(second) * 1000);
      const valid = !Number.isNaN(date.getTime()) && date.getUTCFullYear() <= 9999;
      this.#date = valid ? date.toISOString().slice(0, 20) : '';
    }
    // Years before 0 have more digits.
    return this.#date.endsWith('.') ? `${this.#date}${microseconds.slice(-6)}Z` : '-';
  }
}

const toleranceMicroseconds = 1_000_000;

/**
 * Detects entries that were logged before the clock was set. The clock has jumped since then, so the difference between
 * the entry's realtime and monotonic time is not that of the clocks now. Compared once for each second of entries.
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
   * @param boot the entry's boot; of earlier boots nothing is known
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
