import { HostError } from '../../lib/errors.ts';
import { formatBytes } from '../../lib/format.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { MountTable } from '../../facts/mounts/mountinfo.ts';
import { staging } from './places.ts';
import type { Move } from './abortable.ts';

export const du = '/usr/bin/du';

/** XFS keeps about so much of a disk for its log and its trees. */
const keptShare = 0.03;
const keptBytes = 80 * 1024 * 1024;

/** What a disk of a size has room for, as an XFS. */
export function roomOn(bytes: number): number {
  return Math.max(0, bytes * (1 - keptShare) - keptBytes);
}

/**
 * Bytes that /home takes up, without those mounted below it; undefined where it takes more than seconds to tell.
 * Where everything on its file system has room anyway, that is the answer.
 * @param enough bytes
 */
export async function sizeOfHome(
  reader: SystemReader,
  mounts: MountTable,
  enough: number,
): Promise<number | undefined> {
  const whole = reader.usage('/home').usedBytes;
  if (whole <= enough || mounts.serving('/home')?.target === '/home') return whole;
  const { stdout, ended } = await reader.run(du, ['-sxB1', '/home']);
  const bytes = Number(stdout.split('\t')[0]);
  return ended === 'good' && bytes > 0 ? bytes : undefined;
}

/** The same of the new file system, exactly, when it is mounted; and what a bar counts to. @throws HostError ENOSPC */
export async function expectRoom(move: Move, device: string): Promise<number> {
  const takes = async (how: string) => {
    const { stdout, exit, stderr } = await move.run(du, ['-sx', how, '/home'], 86400);
    // A file that goes away meanwhile is its reason to complain.
    const bytes = Number(stdout.split('\t')[0]);
    if (Number.isNaN(bytes) || stdout === '')
      throw new HostError(`${du} ended with ${exit}: ${stderr.trim()}`);
    return bytes;
  };
  const needed = await takes('-B1');
  const { sizeBytes, usedBytes } = move.reader.usage(staging);
  // Of an earlier run; it is not copied again.
  const there = Number((await move.always(du, '-sxB1', staging)).split('\t')[0]);
  const free = sizeBytes - usedBytes + there;
  if (needed > free) {
    throw new HostError(
      `${device} is too small: /home takes ${formatBytes(needed)}, its file system has room for ${formatBytes(free)}`,
      'ENOSPC',
    );
  }
  return takes('-b');
}
