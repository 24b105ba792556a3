import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

/** The shells that may be /bin/sh where the boot scripts run: RHEL has bash, Debian has dash, a small initramfs has busybox. */
export const shells: Record<string, readonly [string, ...string[]]> = {
  dash: ['dash'],
  'bash --posix': ['bash', '--posix'],
  'busybox sh': ['busybox', 'sh'],
};

export const dracut = path.join(import.meta.dirname, '../../dracut');
/** The library of the boot scripts. */
export const boot = path.join(import.meta.dirname, '../../boot');

/**
 * Runs lines of sh that can call the functions of library.sh, in the locale of the initramfs.
 * @param args $1 and so on
 * @returns stdout, one character per byte
 * @throws Error if the lines fail or print anything on stderr except warnings of the library
 */
export function withLibrary(shell: readonly [string, ...string[]], lines: string, ...args: string[]): string {
  const [program, ...options] = shell;
  const library = fs.readFileSync(path.join(boot, 'library.sh'), 'utf8');
  const text = `${library.replace('/usr/libexec/immutafs', boot)}\n${lines}`;
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
