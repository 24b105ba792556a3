import { SystemError } from '../../lib/errors.ts';
import { formatBytes } from '../../lib/format.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { MountTable } from '../../facts/mounts/mountinfo.ts';
import type { Context } from '../engine/context.ts';
import { staging } from './mounting.ts';

const du = '/usr/bin/du';

/** The approximate share and number of bytes of a disk that XFS uses for its log and metadata. */
const reservedShare = 0.03;
const reservedBytes = 80 * 1024 * 1024;

/** Estimates how many bytes of files an XFS on a disk of this size can hold. */
export function capacityOf(bytes: number): number {
  return Math.max(0, bytes * (1 - reservedShare) - reservedBytes);
}

/**
 * Returns the bytes that a directory takes, without mounts below it; undefined if du(1) fails or exceeds its timeout of a few
 * seconds. Returns the used bytes of the whole file system if they fit, or if the directory is a separate file system.
 * @param enough the bytes that fit in the new place
 */
export async function sizeOfDirectory(
  reader: SystemReader,
  mounts: MountTable,
  path: string,
  enough: number,
): Promise<number | undefined> {
  const whole = reader.usage(path).usedBytes;
  if (whole <= enough || mounts.serving(path)?.target === path) return whole;
  const { stdout, ended } = await reader.run(du, ['-sxB1', path]);
  const bytes = Number(stdout.split('\t')[0]);
  return ended === 'good' && bytes > 0 ? bytes : undefined;
}

/**
 * Verifies that a directory fits on the new file system, which is mounted for copying.
 * @returns the sum of the file sizes, for the progress bar
 * @param to names the new file system in messages
 * @throws SystemError ENOSPC if the directory does not fit
 */
export async function expectSpace(context: Context, path: string, to: string): Promise<number> {
  const { reader, runAbortable, runAlways } = context;
  const measure = async (how: string) => {
    const { stdout, exit, stderr } = await runAbortable(du, ['-sx', how, path], { seconds: 86400 });
    // The exit code is ignored, because du(1) fails if a file disappears meanwhile.
    const bytes = Number(stdout.split('\t')[0]);
    if (Number.isNaN(bytes) || stdout === '')
      throw new SystemError(`${du} ended with ${exit}: ${stderr.trim()}`);
    return bytes;
  };
  const needed = await measure('-B1');
  const { sizeBytes, usedBytes } = reader.usage(staging);
  // Files that an earlier run has copied need no further space.
  const there = Number((await runAlways(du, ['-sxB1', staging])).split('\t')[0]);
  const free = sizeBytes - usedBytes + there;
  if (needed > free) {
    throw new SystemError(
      `${to} is too small: ${path} takes ${formatBytes(needed)}, its file system has room for ${formatBytes(free)}`,
      'ENOSPC',
    );
  }
  return measure('-b');
}
