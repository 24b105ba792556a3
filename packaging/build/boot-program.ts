import { execFileSync } from 'node:child_process';
import { globSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { build as esbuild } from 'esbuild';
import { debianLibraries, dist, inRoot, root, scratch } from './paths.ts';
import { digest, once, recipe } from './stamp.ts';

/** The program of the boot, which `buildBootProgram` makes. */
export const bootProgram = path.join(dist, 'immutafs-boot');

/** The Debian packages whose code is linked into the program, each with its library. */
export const linkedLibraries: Readonly<Record<string, string>> = {
  libquickjs: path.join(debianLibraries, 'quickjs/libquickjs.a'),
  'libc6-dev': path.join(debianLibraries, 'libc.a'),
};

/**
 * Static, because the initramfs has no library for it. At a fixed address, because the relocations of a
 * position-independent executable would add 30 KB to the compressed initramfs. glibc 2.41 runs on Linux 3.2 and later.
 */
const options = [
  ...[
    '-O2',
    '-static',
    '-no-pie',
    '-fstack-protector-strong',
    '-D_FORTIFY_SOURCE=2',
    '-Wall',
    '-Wextra',
    '-Werror',
  ],
  ...['-s', '-Wl,--gc-sections,--build-id=none,-z,relro,-z,now,-z,noexecstack'],
];

/**
 * Bundles boot/main.ts, compiles the bundle to the bytecode of QuickJS, and links it with boot/native/native.c.
 * @param entry another entry point, for tests
 * @param out the executable; rebuilt only if the bundle, the native part, a Debian package or this recipe changed
 */
export async function buildBootProgram(entry = inRoot('boot/main.ts'), out = bootProgram): Promise<void> {
  const code = await bundle(entry);
  const native = inRoot('boot/native/native.c');
  const headers = globSync(inRoot('boot/native/*.h')).sort();
  const files = [
    native,
    ...headers,
    '/usr/bin/qjsc',
    ...Object.values(linkedLibraries),
    ...recipe('boot-program.ts'),
  ];
  const name = path.relative(root, out).replaceAll('/', '-');
  await once({
    name,
    key: digest({ texts: [code, out], files }),
    outputs: [out],
    make: () => link(code, native, out),
  });
}

/** Fails for an import of node:*, which `neutral` does not resolve. */
async function bundle(entry: string): Promise<string> {
  const result = await esbuild({
    entryPoints: [entry],
    absWorkingDir: root,
    bundle: true,
    write: false,
    platform: 'neutral',
    target: 'es2022',
    // Not in a function: for each closure in a function, QuickJS searches the variables of this function one by one.
    format: 'esm',
    banner: { js: '"use strict";' },
    charset: 'ascii',
    legalComments: 'none',
    minifyWhitespace: true,
    logLevel: 'warning',
  });
  return result.outputFiles[0]?.text ?? '';
}

function link(code: string, native: string, out: string): void {
  const folder = path.join(scratch, `${path.basename(out)}-${process.pid}`);
  const run = (program: string, args: readonly string[]) =>
    execFileSync(program, args, { cwd: folder, stdio: ['ignore', 'inherit', 'inherit'] });
  mkdirSync(folder, { recursive: true });
  try {
    writeFileSync(path.join(folder, 'bundle.js'), code);
    run('qjsc', ['-c', '-s', '-N', 'immutafs_boot', '-o', 'immutafs-boot.h', 'bundle.js']);
    const include = ['-I.', '-isystem', '/usr/include/quickjs'];
    run('gcc', [...options, ...include, '-o', 'linked', native, ...Object.values(linkedLibraries), '-lm']);
    // Tables for exceptions of C++, which nothing throws: 50 KB of the compressed initramfs.
    run('objcopy', ['--remove-section=.eh_frame', 'linked']);
    mkdirSync(path.dirname(out), { recursive: true });
    renameSync(path.join(folder, 'linked'), out);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
