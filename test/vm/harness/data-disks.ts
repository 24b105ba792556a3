import { join } from 'node:path';
import { execa } from 'execa';
import type { Volume } from './layout.ts';
import { withLoop } from './loop.ts';
import { placeInLvm } from './lvm.ts';
import type { Drive } from './qemu.ts';
import { withRunFolder } from './run-folder.ts';

const MiB = 1024 * 1024;
const sizeMiB = 64;
const srv: Volume = { target: '/srv', filesystem: 'ext4', sizeMiB: 32 };

/**
 * Calls `work` with disks that have nothing to do with the system: a read-only disk with a file system, and a writable
 * disk with the volume group `data`, whose volume `srv` has a file system.
 */
export async function withDataDisks<T>(work: (drives: Drive[]) => Promise<T>): Promise<T> {
  return withRunFolder(async (folder) => {
    const drive = (serial: string, readOnly: boolean): Drive => ({
      ...({ serial, file: join(folder, serial), format: 'raw', bus: 'virtio-blk' } as const),
      readOnly,
    });
    const [iso, data] = [drive('iso', true), drive('data', false)];
    await execa('truncate', ['--size', `${sizeMiB}M`, data.file, iso.file]);
    await execa('mkfs.ext4', ['-q', '-L', 'home', iso.file]);
    const whole = { offset: 0, size: sizeMiB * MiB };
    const volumes = await withLoop(data.file, whole, (device) => placeInLvm(device, [srv], 'data'));
    for (const volume of volumes) {
      await withLoop(data.file, volume, (device) => execa('mkfs.ext4', ['-q', device]));
    }
    return work([iso, data]);
  });
}
