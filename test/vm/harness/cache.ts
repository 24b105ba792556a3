import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { withLock } from './lock.ts';

/** The repository's root folder. */
export const repository = join(import.meta.dirname, '../../..');

/** Everything the VM tests leave on disk: caches, locks, the files of running guests. */
export const workFolder = join(repository, 'build/vm');

/** Cache entries that nobody asked for in so many minutes are removed: longer than a test file may take. */
const keepMinutes = 30;

/**
 * A folder that is built once for each recipe and shared by all test files, also when they run at the same time.
 *
 * @param kind names the folder (`tree`, `disk`…); entries of one kind that nobody asks for any more are removed when another is asked for
 * @param recipe whatever decides the content; it is hashed as JSON
 * @param build fills the empty folder that it is given; if it throws, nothing stays behind
 * @returns the folder's path; read only what is in it
 */
export async function cached(
  kind: string,
  recipe: unknown,
  build: (folder: string) => Promise<void>,
): Promise<string> {
  const cache = join(workFolder, 'cache');
  const folder = join(cache, `${kind}-${digest(JSON.stringify(recipe))}`);
  return withLock(`${folder}.lock`, async () => {
    if (!existsSync(folder)) await buildBeside(folder, build);
    await utimes(folder, new Date(), new Date());
    await removeUnused(cache, kind);
    return folder;
  });
}

/** The first 12 hex digits of the content's SHA-256. */
export function digest(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex').slice(0, 12);
}

async function buildBeside(folder: string, build: (folder: string) => Promise<void>): Promise<void> {
  const unfinished = `${folder}.new`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished);
  try {
    await build(unfinished);
    await rename(unfinished, folder);
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
}

async function removeUnused(cache: string, kind: string): Promise<void> {
  const oldest = Date.now() - keepMinutes * 60_000;
  for (const name of await readdir(cache)) {
    if (!name.startsWith(`${kind}-`) || name.endsWith('.lock') || name.endsWith('.new')) continue;
    const path = join(cache, name);
    const used = await stat(path).catch(() => null);
    if (used && used.mtimeMs < oldest) await rm(path, { recursive: true, force: true });
  }
}
