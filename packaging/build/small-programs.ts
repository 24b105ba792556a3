import { execFileSync } from 'node:child_process';
import { globSync, mkdirSync, renameSync } from 'node:fs';
import path from 'node:path';
import { debianLibraries, dist, inRoot, installedRuntime } from './paths.ts';
import { digest, once, recipe } from './stamp.ts';

/** Compiler options whose result does not depend on the build machine. */
const options = [
  ...['-Os', '-static', '-nostdlib', '-ffreestanding', '-fno-stack-protector', '-fcf-protection=none'],
  ...['-fno-asynchronous-unwind-tables', '-Wall', '-Wextra', '-Werror', '-s'],
  '-Wl,-z,noseparate-code,-z,noexecstack,--build-id=none',
];

/** Compiles packaging/programs/set-readonly.c to dist/set-readonly, which goes into the initramfs. */
export function buildSetReadonly(): Promise<void> {
  return buildWithoutLibrary('set-readonly');
}

/** Compiles packaging/programs/make-mounts.c to dist/make-mounts, which goes into the initramfs. */
export function buildMakeMounts(): Promise<void> {
  return buildWithoutLibrary('make-mounts');
}

/** Compiles packaging/programs/check-tables.c to dist/check-tables, which goes into the initramfs; the agent runs it, too. */
export function buildCheckTables(): Promise<void> {
  return buildWithoutLibrary('check-tables');
}

/** Compiles packaging/programs/try-write.c to dist/try-write, which the agent runs. */
export function buildTryWrite(): Promise<void> {
  return buildWithoutLibrary('try-write');
}

/** Compiles packaging/programs/read-xattrs.c to dist/read-xattrs, which `immutafs-agent changes` runs. */
export function buildReadXattrs(): Promise<void> {
  return buildWithoutLibrary('read-xattrs');
}

/** Compiles packaging/programs/read-mappings.c to dist/read-mappings, which the check foreign-programs runs. */
export function buildReadMappings(): Promise<void> {
  return buildWithoutLibrary('read-mappings');
}

/** Compiles packaging/programs/scratch-mark.c to dist/scratch-mark, which late boot and the step scratch run. */
export function buildScratchMark(): Promise<void> {
  return buildWithoutLibrary('scratch-mark');
}

/** libsystemd, which knows the journal files of every version up to its own. */
const libsystemd = path.join(debianLibraries, 'libsystemd.a');

/** The options for a program that uses the private runtime. libcap is a library of libsystemd. */
const hosted = [
  ...['-O3', '-Wall', '-Wextra', '-Werror', '-s', '-Wl,--gc-sections,--build-id=none'],
  ...['-pie', '-fPIE', '-fstack-protector-strong', '-D_FORTIFY_SOURCE=2', '-Wl,-z,relro,-z,now'],
  `-Wl,--dynamic-linker=${installedRuntime}/ld-linux-x86-64.so.2`,
  `-Wl,--disable-new-dtags,-rpath,${installedRuntime}`,
];

/** Compiles packaging/programs/read-journal.c to dist/read-journal, which the forwarder runs. */
export async function buildReadJournal(): Promise<void> {
  const source = inRoot('packaging/programs/read-journal.c');
  const files = [source, libsystemd, ...recipe('small-programs.ts')];
  await compile('read-journal', files, [...hosted, source, libsystemd, '-l:libcap.so.2', '-lm']);
}

async function buildWithoutLibrary(name: string): Promise<void> {
  const source = inRoot(`packaging/programs/${name}.c`);
  const headers = globSync(inRoot('packaging/programs/*.h')).sort();
  await compile(name, [source, ...headers, ...recipe('small-programs.ts')], [...options, source]);
}

/** @param files what the result depends on */
async function compile(name: string, files: string[], words: string[]): Promise<void> {
  const out = path.join(dist, name);
  const make = () => {
    mkdirSync(dist, { recursive: true });
    execFileSync('gcc', ['-o', `${out}.new`, ...words], { stdio: ['ignore', 'inherit', 'inherit'] });
    renameSync(`${out}.new`, out);
  };
  await once({ name, key: digest({ files }), outputs: [out], make });
}
