import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';

/** What a guest is handed in. */
export interface InBox {
  /** Shell text of each step by its name, in the order in which they run. */
  steps: Record<string, string>;
  /** Files of this machine by the name under which the guest finds them in `$BOX`. */
  files: Record<string, string>;
}

/** Writes the in-box as a disk image: a plain tar, which needs no file system in the guest. */
export async function writeInBox({ steps, files }: InBox, image: string): Promise<void> {
  const folder = `${image}.d`;
  await mkdir(join(folder, 'steps'), { recursive: true });
  await mkdir(join(folder, 'box'));
  for (const [index, [name, text]] of Object.entries(steps).entries()) {
    await writeFile(join(folder, 'steps', `${String(index).padStart(3, '0')}-${name}`), `${text}\n`);
  }
  for (const [name, path] of Object.entries(files)) await execa('cp', [path, join(folder, 'box', name)]);
  await execa('tar', ['--create', '--file', image, '--directory', folder, 'steps', 'box']);
  await rm(folder, { recursive: true });
}

/** An empty disk on which the guest leaves what it put into `$OUT`. */
export async function makeOutBox(image: string): Promise<void> {
  await execa('truncate', ['--size', '512M', image]);
}

/** Unpacks what the guest left, into a folder. */
export async function openOutBox(image: string, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await execa('tar', ['--extract', '--file', image, '--directory', folder]);
}
