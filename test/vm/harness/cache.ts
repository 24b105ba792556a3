import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { withLock } from './lock.ts';

/** The repository's root folder. */
export const repository = join(import.meta.dirname, '../../..');

/** Contains all files that the VM tests write: caches, locks, files of running guests. */
export const workFolder = join(repository, 'build/vm');

/** A cache entry that no test has requested for this long is removed. Longer than a complete run takes. */
const usualMinutes = 120;

/**
 * Returns a folder that is built once for each recipe and shared by all test files, including concurrent ones.
 *
 * @param kind names the folder (`tree`, `disk`…); a request also removes unused entries of the same kind
 * @param recipe everything that determines the content; hashed as JSON
 * @param build fills the empty folder that it receives; if it throws, the folder is removed
 * @param keepMinutes for how long an entry of this kind is kept after its last request
 * @returns the folder's path; its content must not be changed
 */
export async function cached(
  kind: string,
  recipe: unknown,
  build: (folder: string) => Promise<void>,
  keepMinutes = usualMinutes,
): Promise<string> {
  const cache = join(workFolder, 'cache');
  const folder = join(cache, `${kind}-${digest(JSON.stringify(recipe))}`);
  return withLock(`${folder}.lock`, async () => {
    if (!existsSync(folder)) await buildBeside(folder, build);
    await utimes(folder, new Date(), new Date());
    await removeUnused(cache, kind, keepMinutes);
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

async function removeUnused(cache: string, kind: string, keepMinutes: number): Promise<void> {
  const oldest = Date.now() - keepMinutes * 60_000;
  for (const name of await readdir(cache)) {
    if (!name.startsWith(`${kind}-`) || name.endsWith('.lock') || name.endsWith('.new')) continue;
    const path = join(cache, name);
    const used = await stat(path).catch(() => null);
    if (used && used.mtimeMs < oldest) await rm(path, { recursive: true, force: true });
  }
}
