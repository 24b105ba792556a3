import { open } from 'node:fs/promises';
import { execa } from 'execa';

/** A range of an image file: offset and size in bytes. */
export interface Extent {
  offset: number;
  size: number;
}

/**
 * Calls `work` with a loop device over a range of a file.
 *
 * The device is detached while it is in use. The kernel then keeps the device until its last user closes it
 * (LO_FLAGS_AUTOCLEAR, drivers/block/loop.c), which also happens when this process is killed.
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
    // A loop device keeps the read-only flag of its previous user.
    await execa('blockdev', ['--setrw', device]);
    return await work(device);
  } finally {
    await user.close();
  }
}
