import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { type DomainOptions, asQcow2 } from './domain.ts';

/** Makes a folder with the two empty disks of a domain. */
export async function makeDisks(
  folder: string,
  { systemFormat, homeFormat }: Pick<DomainOptions, 'systemFormat' | 'homeFormat'> = {},
): Promise<void> {
  await mkdir(folder);
  for (const image of ['system.raw', 'home.raw']) {
    await execa('truncate', ['--size', '1M', join(folder, image)]);
  }
  if (systemFormat === 'qcow2') await asQcow2(folder);
  if (homeFormat === 'qcow2') await asQcow2(folder, 'home');
}

/** Writes the same byte to a part of the content of a qcow2 file. */
export async function writeBytes(
  image: string,
  offset: number,
  length: number,
  value: number,
): Promise<void> {
  await execa('qemu-io', ['-f', 'qcow2', '-c', `write -P ${value} ${offset} ${length}`, image]);
}

/** Copies the content of an image, which QEMU may be using, to the file `raw` in a folder. @returns its path */
export async function rawCopy(folder: string, image: string, format = 'qcow2'): Promise<string> {
  const copy = join(folder, 'raw');
  await execa('qemu-img', ['convert', '-U', '-f', format, '-O', 'raw', image, copy]);
  return copy;
}
