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

/** libsystemd, which knows the journal files of every version up to its own. */
const libsystemd = path.join(debianLibraries, 'libsystemd.a');

/** The options for a program that uses the private runtime. libcap is a library of libsystemd. */
const hosted = [
  ...['-O3', '-Wall', '-Wextra', '-Werror', '-s', '-Wl,--gc-sections,--build-id=none'],
  ...['-pie', '-fPIE', '-fstack-protector-strong', '-D_FORTIFY_SOURCE=2', '-Wl,-z,relro,-z,now'],
  `-Wl,--dynamic-linker=${installedRuntime}/ld-linux-x86-64.so.2`,
  `-Wl,--disable-new-dtags,-rpath,${installedRuntime}`,
];

/** The programs in C of the package, besides immutafs-boot (boot-program.ts). All but read-journal do without a library. */
export const programs = [
  'move-directory',
  'read-journal',
  'read-mappings',
  'read-xattrs',
  'try-write',
] as const;

/** Compiles packaging/programs/NAME.c to dist/NAME. */
export async function buildProgram(name: (typeof programs)[number]): Promise<void> {
  const source = inRoot(`packaging/programs/${name}.c`);
  const needed = name === 'read-journal' ? [libsystemd] : globSync(inRoot('packaging/programs/*.h')).sort();
  const words =
    name === 'read-journal' ? [...hosted, source, libsystemd, '-l:libcap.so.2', '-lm'] : [...options, source];
  const out = path.join(dist, name);
  const make = () => {
    mkdirSync(dist, { recursive: true });
    execFileSync('gcc', ['-o', `${out}.new`, ...words], { stdio: ['ignore', 'inherit', 'inherit'] });
    renameSync(`${out}.new`, out);
  };
  const files = [source, ...needed, ...recipe('small-programs.ts')];
  await once({ name, key: digest({ files }), outputs: [out], make });
}
