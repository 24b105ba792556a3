import { join } from 'node:path';
import { execa } from 'execa';
import type { Drive } from './qemu.ts';
import { withRunFolder } from './run-folder.ts';

/** The disk's path in the guest. */
export const emptyDevice = '/dev/disk/by-id/virtio-empty';

/** Calls `work` with an empty disk to attach to a guest. The content of the disk is kept between boots. */
export async function withEmptyDisk<T>(sizeMiB: number, work: (drive: Drive) => Promise<T>): Promise<T> {
  return withRunFolder(async (folder) => {
    const file = join(folder, 'empty.raw');
    await execa('truncate', ['--size', `${sizeMiB}M`, file]);
    return work({ serial: 'empty', file, format: 'raw', readOnly: false, bus: 'virtio-blk' });
  });
}
