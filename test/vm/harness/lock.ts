import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { execa } from 'execa';

/**
 * Runs `work` while holding an exclusive lock on a file, across processes.
 *
 * A flock(1) child that reads from this process holds the lock. The child ends with this process, even if this process
 * is killed, so no lock becomes stale.
 */
export async function withLock<T>(file: string, work: () => Promise<T>): Promise<T> {
  await mkdir(dirname(file), { recursive: true });
  const holder = await holdUntilEof('flock', ['--exclusive', file]);
  try {
    return await work();
  } finally {
    await holder.release();
  }
}

/** A child that runs until it is released or this process ends. */
export interface Holder {
  pid: number;
  release: () => Promise<void>;
}

/**
 * Starts `command … cat` and returns when cat runs, that is, when the command has acquired its resource.
 *
 * @throws if the command ends earlier
 */
export async function holdUntilEof(command: string, args: string[]): Promise<Holder> {
  const child = execa(command, [...args, 'cat'], { buffer: false, stderr: 'inherit' });
  child.stdin.write('ready\n');
  await Promise.race([new Promise((resolve) => child.stdout.once('data', resolve)), child]);
  if (child.pid === undefined || child.exitCode !== null)
    throw new Error(`${command} ended before it acquired its resource`);
  const release = async (): Promise<void> => {
    child.stdin.end();
    await child;
  };
  return { pid: child.pid, release };
}
