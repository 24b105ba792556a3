import type { SystemReader } from './reader.ts';
import { field } from '../forward/journal/entry.ts';

/** The two clocks of this boot, in microseconds, as journald reads them: CLOCK_REALTIME, CLOCK_MONOTONIC. */
export interface Clock {
  realtime(): number;
  monotonic(): number;
  /** 32 hexadecimal digits. */
  bootId: string;
}

const toleranceMicroseconds = 1_000_000;

/**
 * Tells whether an entry's time was taken before the clock was set: then the clock has jumped since, and the
 * entry's realtime is further from its monotonic time than the clocks are now. Looked at once a second of time.
 */
export class ClockGuard {
  readonly #clock: Clock;
  #second = '';
  #boot = '';
  #set = true;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param realtime the entry's __REALTIME_TIMESTAMP */
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

/** @throws HostError where the boot has no id */
export function systemClock(reader: SystemReader): Clock {
  return {
    realtime: () => Date.now() * 1000,
    monotonic: monotonicNow,
    bootId: reader.read('/proc/sys/kernel/random/boot_id').trim().replaceAll('-', ''),
  };
}

/** Microseconds since the boot: process.hrtime is CLOCK_MONOTONIC. */
export function monotonicNow(): number {
  return Number(process.hrtime.bigint() / 1000n);
}
