import type { SystemReader } from './reader.ts';

/** The two clocks of this boot, in microseconds, as journald reads them: CLOCK_REALTIME, CLOCK_MONOTONIC. */
export interface Clock {
  realtime(): number;
  monotonic(): number;
  /** 32 hexadecimal digits. */
  bootId: string;
}

/** @throws HostError if the kernel gives no boot id */
export function systemClock(reader: SystemReader): Clock {
  return {
    realtime: () => Date.now() * 1000,
    // process.hrtime is CLOCK_MONOTONIC.
    monotonic: () => Number(process.hrtime.bigint() / 1000n),
    bootId: reader.read('/proc/sys/kernel/random/boot_id').trim().replaceAll('-', ''),
  };
}
