import { open } from 'node:fs/promises';
import { execa } from 'execa';

/** A stretch of an image file, in bytes. */
export interface Extent {
  offset: number;
  size: number;
}

/**
 * Calls `work` with a loop device over a stretch of a file.
 *
 * The device is detached already while it is in use: the kernel then keeps it until its last user closes it
 * (LO_FLAGS_AUTOCLEAR, drivers/block/loop.c), which happens too when this process is killed.
 */
export async function withLoop<T>(
  file: string,
  { offset, size }: Extent,
  work: (device: string) => Promise<T>,
): Promise<T> {
  const { stdout: device } = await execa('losetup', [
    '--find',
    '--show',
    ...['--offset', String(offset)],
    ...['--sizelimit', String(size), file],
  ]);
  const user = await open(device, 'r');
  try {
    await execa('losetup', ['--detach', device]);
    // Somebody's `blockdev --setro` stays with a loop device when he has detached it.
    await execa('blockdev', ['--setrw', device]);
    return await work(device);
  } finally {
    await user.close();
  }
}
