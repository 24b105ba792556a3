import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, copyFileSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { debianLibraries, inRoot, nodePackage, runtime, scratch } from './paths.ts';
import { digest, once, recipe } from './stamp.ts';

/**
 * Maps Debian packages to the libraries that the executable (libc to libgcc_s) and the addon (libsystemd, libcap) need,
 * and to those with which read-journal decompresses entries. The package contains its own glibc, because Node needs
 * glibc 2.28 and RHEL 7 has 2.17.
 */
export const libraries: Readonly<Record<string, readonly string[]>> = {
  libc6: [
    'ld-linux-x86-64.so.2',
    'libc.so.6',
    'libdl.so.2',
    'libm.so.6',
    'libpthread.so.0',
    'libresolv.so.2',
    'librt.so.1',
  ],
  'libstdc++6': ['libstdc++.so.6'],
  'libgcc-s1': ['libgcc_s.so.1'],
  libsystemd0: ['libsystemd.so.0'],
  libcap2: ['libcap.so.2'],
  'liblz4-1': ['liblz4.so.1'],
  liblzma5: ['liblzma.so.5'],
  // A library of liblz4.
  libxxhash0: ['libxxhash.so.0'],
  libzstd1: ['libzstd.so.1'],
};

const addonPackage = inRoot('node_modules/systemd-journald');
const addonSources = ['package.json', 'binding.gyp', 'src/journal_send.cc'];

/** Collects the private runtime in dist/lib: the libraries above, and journal_send.node, which it builds. */
export async function buildRuntime(): Promise<void> {
  const names = Object.values(libraries).flat();
  const outputs = [...names, 'journal_send.node'].map((name) => path.join(runtime, name));
  const files = [
    ...names.map((name) => path.join(debianLibraries, name)),
    ...addonSources.map((name) => path.join(addonPackage, name)),
    path.join(nodePackage, 'package.json'),
    inRoot('node_modules/nan/package.json'),
    ...recipe('runtime.ts'),
  ];
  await once({ name: 'runtime', key: digest({ files }), outputs, make: () => collect(names) });
}

/** Collects the runtime in a new directory, which replaces the old directory when it is complete. */
function collect(names: readonly string[]): void {
  const folder = path.join(scratch, `runtime-${process.pid}`);
  mkdirSync(folder, { recursive: true });
  for (const name of names) {
    copyFileSync(path.join(debianLibraries, name), path.join(folder, name));
    chmodSync(path.join(folder, name), 0o755);
  }
  buildAddon(path.join(folder, 'journal_send.node'));
  rmSync(runtime, { recursive: true, force: true });
  mkdirSync(path.dirname(runtime), { recursive: true });
  renameSync(folder, runtime);
}

/**
 * Builds the native addon of the npm package systemd-journald, because `npm ci --ignore-scripts` does not. node-gyp uses
 * the headers of the Node package, so it downloads nothing.
 */
function buildAddon(out: string): void {
  const folder = path.join(scratch, `addon-${process.pid}`);
  try {
    for (const name of addonSources) cpSync(path.join(addonPackage, name), path.join(folder, name));
    const nodeGyp = inRoot('node_modules/node-gyp/bin/node-gyp.js');
    const env = {
      ...process.env,
      npm_config_nodedir: nodePackage,
      PATH: searchPath(),
      // The build ID is a hash that includes the debug information, and therefore the path of this folder.
      LDFLAGS: '-Wl,--build-id=none',
    };
    execFileSync(process.execPath, [nodeGyp, 'rebuild', '--silent'], { cwd: folder, env, stdio: 'pipe' });
    copyFileSync(path.join(folder, 'build/Release/journal_send.node'), out);
    execFileSync('strip', [out]);
    chmodSync(out, 0o755);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Returns a PATH that begins with the folder of the current Node, because binding.gyp runs `node` to find NAN's
 * headers.
 */
function searchPath(): string {
  return `${path.dirname(process.execPath)}:${process.env.PATH ?? '/usr/bin:/bin'}`;
}
