import type { Clock } from '../../system/clock.ts';
import { field } from '../reader.ts';

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
