import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { execa } from 'execa';

/**
 * Runs `work` while holding an exclusive lock on a file, across processes.
 *
 * The lock belongs to a flock(1) child that reads from this process: it goes when this process does, however
 * that ends, so there are no stale locks.
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

/** A process that does nothing until this one lets it go, or ends. */
export interface Holder {
  pid: number;
  release: () => Promise<void>;
}

/**
 * Starts `command … cat` and returns when cat runs, that is, when the command has got what it holds.
 *
 * @throws if the command ends before that
 */
export async function holdUntilEof(command: string, args: string[]): Promise<Holder> {
  const child = execa(command, [...args, 'cat'], { buffer: false, stderr: 'inherit' });
  child.stdin.write('ready\n');
  await Promise.race([new Promise((resolve) => child.stdout.once('data', resolve)), child]);
  if (child.pid === undefined || child.exitCode !== null) throw new Error(`${command} holds nothing`);
  const release = async (): Promise<void> => {
    child.stdin.end();
    await child;
  };
  return { pid: child.pid, release };
}
