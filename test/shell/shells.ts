import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { type Test, suite } from 'uvu';
import { scratch } from '../../packaging/build/paths.ts';
import { buildTestBootProgram, testBootProgram } from '../harness/boot-program.ts';

await buildTestBootProgram();

export type Shell = readonly [string, ...string[]];

/** The shells that may be /bin/sh where the boot scripts run: RHEL has bash, Debian has dash, a small initramfs has busybox. */
export const shells: Record<string, Shell> = {
  dash: ['dash'],
  'bash --posix': ['bash', '--posix'],
  'busybox sh': ['busybox', 'sh'],
};

/** Defines a suite for each shell. */
export function inShells(
  title: string,
  define: (test: Test, shell: Shell, name: string) => void,
  tried = shells,
): void {
  for (const [name, shell] of Object.entries(tried)) {
    const test = suite(`${name}: ${title}`);
    define(test, shell, name);
    test.run();
  }
}

/** Defines a suite for a program that runs no shell. */
export function inNamespace(title: string, define: (test: Test, shell: Shell) => void): void {
  const test = suite(title);
  define(test, ['dash']);
  test.run();
}

/** Like inShells, without busybox, which runs its own cp, mount and others, not those in PATH. */
export function withoutBusybox(title: string, define: (test: Test, shell: Shell) => void): void {
  const { 'busybox sh': _, ...others } = shells;
  inShells(title, define, others);
}

export const dracut = path.join(import.meta.dirname, '../../dracut');
/** The library of the boot scripts. */
export const boot = path.join(import.meta.dirname, '../../boot');

/** Returns a directory with the library and immutafs-boot, as they are in /usr/libexec/immutafs. */
function parts(): string {
  const folder = path.join(scratch, 'test/parts');
  fs.mkdirSync(folder, { recursive: true });
  const files = [...fs.globSync(`${boot}/*.sh`), testBootProgram];
  for (const file of files) {
    const link = path.join(folder, path.basename(file));
    if (!fs.existsSync(link)) fs.symlinkSync(file, link);
  }
  return folder;
}

/**
 * Runs lines of sh that can call the functions of library.sh, in the locale of the initramfs.
 * @param args $1 and so on
 * @returns stdout, one character per byte
 * @throws Error if the lines fail or print anything on stderr except warnings of the library
 */
export function withLibrary(shell: Shell, lines: string, ...args: string[]): string {
  const [program, ...options] = shell;
  const library = fs.readFileSync(path.join(boot, 'library.sh'), 'utf8');
  const text = `${library.replace('parts=/usr/libexec/immutafs', `parts=${parts()}`)}\n${lines}`;
  const { status, stdout, stderr, error } = spawnSync(program, [...options, '-c', text, 'test', ...args], {
    encoding: 'latin1',
    // If stdin is a socket, bash assumes rshd and reads ~/.bashrc.
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], LC_ALL: 'C' },
    maxBuffer: 64 * 1024 * 1024,
  });
  const unexpected = stderr.replace(/^immutafs: warning: .*\n/gm, '');
  if (status !== 0 || unexpected !== '') {
    throw new Error(`${shell.join(' ')}: ${error?.message ?? ''} exit code ${status}: ${unexpected}`);
  }
  return stdout;
}

/** Returns a bash program for /shims, which replaces a program of the machine. */
export const shim = (lines: string) => `#!/bin/bash\nset -f\n${lines}\n`;

/** Returns lines of bash that replace make-mounts with lines of bash, for which it is $0.real. */
export const insteadOfMakeMounts = (lines: string) =>
  `program=/usr/libexec/immutafs/make-mounts; mv $program $program.real
   printf '#!/bin/bash\\n%s\\n' '${lines}' >$program; chmod +x $program`;

/** Lines of bash that replace immutafs-boot with a program that fails. */
export const breakImmutafsBoot = "printf '#!/bin/bash\\nexit 3\\n' >/usr/libexec/immutafs/immutafs-boot";

/** Returns lines of bash with which only these commands of immutafs-boot fail. */
export const breakCommands = (...commands: string[]) =>
  `program=/usr/libexec/immutafs/immutafs-boot; mv $program $program.real
   printf '#!/bin/bash\\ncase $1 in ${commands.join(' | ')}) exit 3 ;; esac\\nexec %s "$@"\\n' $program.real >$program; chmod +x $program`;

/** Returns lines of bash that mount an overlay, whose lower layer has the folder lib. */
export const mountOverlay = (target: string) =>
  `mkdir -p ${target} /layers; mount -t tmpfs x /layers; mkdir -p /layers/{lower/lib,upper,work}
   mount -t overlay -o lowerdir=/layers/lower,upperdir=/layers/upper,workdir=/layers/work x ${target}`;

/** Lines of sh that put the programs in /shims first in PATH. */
export const useShims = 'PATH=/shims:$PATH; export PATH\n';
