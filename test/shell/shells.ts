import path from 'node:path';
import { type Test, suite } from 'uvu';
import { buildTestBootProgram } from '../harness/boot-program.ts';

await buildTestBootProgram();

export type Shell = readonly [string, ...string[]];

/** The shells that may be /bin/sh where the scripts run: RHEL has bash, Debian has dash, a small initramfs has busybox. */
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
/** Returns a bash program for /shims, which replaces a program of the machine. */
export const shim = (lines: string) => `#!/bin/bash\nset -f\n${lines}\n`;

/** Lines of bash that replace immutafs-boot with a program that fails. */
export const breakImmutafsBoot = "printf '#!/bin/bash\\nexit 3\\n' >/usr/libexec/immutafs/immutafs-boot";

/** Returns lines of bash that mount an overlay, whose lower layer has the folder lib. */
export const mountOverlay = (target: string) =>
  `mkdir -p ${target} /layers; mount -t tmpfs x /layers; mkdir -p /layers/{lower/lib,upper,work}
   mount -t overlay -o lowerdir=/layers/lower,upperdir=/layers/upper,workdir=/layers/work x ${target}`;

/** Lines of sh that put the programs in /shims first in PATH. */
export const useShims = 'PATH=/shims:$PATH; export PATH\n';
