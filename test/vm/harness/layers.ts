import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { imagesIn } from './disk.ts';
import type { Disks } from './disk.ts';
import type { Bus, Drive } from './qemu.ts';

/** What a host does with a guest's disks. */
export interface Attachment {
  disk: 'readonly' | 'writable';
  bus?: Bus;
}

/** The shared images stay as they are: what a guest writes goes to layers in its own folder, boot after boot. */
export async function guestDrives(
  disks: Disks,
  { disk, bus = 'virtio-blk' }: Attachment,
  folder: string,
): Promise<Drive[]> {
  const drives: Drive[] = [];
  for (const serial of diskNames(disks)) {
    const layer = layerOf(serial, folder);
    if (!existsSync(layer)) {
      const backing = ['-b', disks.images[serial], '-F', 'raw'];
      await execa('qemu-img', ['create', '-q', '-f', 'qcow2', ...backing, layer]);
    }
    const readOnly = serial === 'system' && disk === 'readonly';
    drives.push({ serial, file: layer, format: 'qcow2', readOnly, bus });
  }
  return drives;
}

/** Joins each image and its layer to an image in the folder `target`. */
export async function saveDisks(disks: Disks, folder: string, target: string): Promise<void> {
  for (const name of diskNames(disks)) {
    await execa('qemu-img', ['convert', '-O', 'raw', layerOf(name, folder), imagesIn(target)[name]]);
  }
}

/** SHA-256 of the system's image and of the layer with what guests wrote over it. */
export async function checksum(disks: Disks, folder: string): Promise<string> {
  const files = [disks.images.system, layerOf('system', folder)].filter((file) => existsSync(file));
  const { stdout } = await execa('sha256sum', files);
  return stdout.replaceAll(/ .*$/gm, '');
}

function layerOf(name: string, folder: string): string {
  return join(folder, `${name}.qcow2`);
}

function diskNames({ placements }: Disks): ('system' | 'home')[] {
  return [...new Set(placements.map((placement) => placement.disk))];
}
