import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { imagesIn } from './disk.ts';
import type { Disks } from './disk.ts';
import type { Bus, Drive } from './qemu.ts';

/** The options with which a host attaches a guest's disks. */
export interface Attachment {
  /** How the host attaches the system disk. */
  disk: 'readonly' | 'writable';
  bus?: Bus;
  /** See `Drive.direct`. */
  direct?: boolean;
  /** Whether the disk with /home comes before the system disk. */
  homeFirst?: boolean;
  /** How the host attaches the system disk once more, so that it has two paths. */
  secondPath?: 'readonly' | 'writable';
}

/** Attaches a layer over each shared image; all boots of a guest write to the layers in its own folder. */
export async function guestDrives(
  disks: Disks,
  { disk, bus = 'virtio-blk', direct = false, homeFirst = false, secondPath }: Attachment,
  folder: string,
): Promise<Drive[]> {
  const drives: Drive[] = [];
  for (const serial of diskNames(disks)) {
    const file = await makeLayer(disks, serial, folder);
    const readOnly = serial === 'system' && disk === 'readonly';
    const drive: Drive = { serial, file, format: 'qcow2', readOnly, bus, direct };
    if (serial === 'system' && secondPath !== undefined) {
      drives.push({ ...drive, pathId: 'path-1' });
      drives.push({ ...drive, readOnly: secondPath === 'readonly', pathId: 'path-2' });
    } else drives.push(drive);
  }
  return homeFirst ? drives.reverse() : drives;
}

/** Merges each image and its layer into an image in the folder `target`. */
export async function saveDisks(disks: Disks, folder: string, target: string): Promise<void> {
  for (const name of diskNames(disks)) {
    await execa('qemu-img', ['convert', '-O', 'raw', layerOf(name, folder), imagesIn(target)[name]]);
  }
}

/**
 * Copies /boot to a folder as a boot loader reads it: like GRUB, debugfs(8) does not replay the journal of an ext4.
 *
 * @throws if a file cannot be read whole
 */
export async function readBoot(disks: Disks, folder: string, target: string): Promise<void> {
  const boot = disks.placements.find(({ volume }) => volume.target === '/boot');
  if (boot?.volume.filesystem !== 'ext4') throw new Error('/boot is not an ext4 file system');
  const [MiB, image] = [1024 * 1024, join(target, 'boot.raw')];
  // The count of `qemu-img dd` includes the blocks that it skips.
  const extent = [`skip=${boot.offset / MiB}`, `count=${(boot.offset + boot.size) / MiB}`, 'bs=1M'];
  const files = [`if=${await makeLayer(disks, boot.disk, folder)}`, `of=${image}`];
  await execa('qemu-img', ['dd', '-f', 'qcow2', '-O', 'raw', ...extent, ...files]);
  const { stderr } = await execa('debugfs', ['-R', `rdump / ${target}`, image]);
  // debugfs exits with 0 even after an error.
  if (stderr.includes(' while ')) throw new Error(`/boot cannot be read: ${stderr}`);
}

/** Returns the SHA-256 of the system image and of its layer, one per line. */
export async function checksum(disks: Disks, folder: string): Promise<string> {
  const { stdout } = await execa('sha256sum', [
    disks.images.system,
    await makeLayer(disks, 'system', folder),
  ]);
  return stdout.replaceAll(/ .*$/gm, '');
}

/** Creates the layer over a shared image unless an earlier boot has created it. */
async function makeLayer({ images }: Disks, name: 'system' | 'home', folder: string): Promise<string> {
  const layer = layerOf(name, folder);
  if (existsSync(layer)) return layer;
  await execa('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', images[name], '-F', 'raw', layer]);
  return layer;
}

function layerOf(name: string, folder: string): string {
  return join(folder, `${name}.qcow2`);
}

function diskNames({ placements }: Disks): ('system' | 'home')[] {
  return [...new Set(placements.map((placement) => placement.disk))];
}
