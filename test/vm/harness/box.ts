import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';

/** The input of a guest. */
export interface InBox {
  /** Shell text by name of the step; the steps run in this order. */
  steps: Record<string, string>;
  /** Paths of files on this machine, by their name in the guest's `$BOX`. */
  files: Record<string, string>;
}

/** Writes the input as a disk image. It is a plain tar, so the guest needs no file system driver for it. */
export async function writeInBox({ steps, files }: InBox, image: string): Promise<void> {
  const folder = `${image}.d`;
  await mkdir(join(folder, 'steps'), { recursive: true });
  await mkdir(join(folder, 'box'));
  for (const [index, [name, text]] of Object.entries(steps).entries()) {
    // The guest's report separates names by spaces.
    if (/\s/.test(name)) throw new Error(`the name of a step contains a space: ${name}`);
    await writeFile(join(folder, 'steps', `${String(index).padStart(3, '0')}-${name}`), `${text}\n`);
  }
  for (const [name, path] of Object.entries(files)) await execa('cp', [path, join(folder, 'box', name)]);
  await execa('tar', ['--create', '--file', image, '--directory', folder, 'steps', 'box']);
  await rm(folder, { recursive: true });
}

/** Creates an empty disk to which the guest writes the contents of `$OUT`. */
export async function makeOutBox(image: string): Promise<void> {
  await execa('truncate', ['--size', '512M', image]);
}

/** Unpacks to a folder the disk that the guest has written. */
export async function openOutBox(image: string, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await execa('tar', ['--extract', '--file', image, '--directory', folder]);
}
