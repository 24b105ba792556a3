import { bootEnvFile } from '../../facts/boot/boot-env.ts';
import { bootTime } from '../../facts/records.ts';
import { unlessSystemError } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';

/**
 * Returns a function that returns the earliest time of the boot, in milliseconds since the epoch, according to the clock at
 * each of its calls, at present, and when the boot recorded its decisions. When the clock is set back, the time of the boot
 * goes back as well, and files that are written afterwards may have an earlier mtime than the boot had before.
 */
export function earliestBootTime(reader: SystemReader): () => number {
  const recorded = unlessSystemError(() => reader.stat(bootEnvFile)?.modified) ?? Infinity;
  let earliest = Math.min(recorded, bootTime(reader));
  return () => (earliest = Math.min(earliest, bootTime(reader)));
}
