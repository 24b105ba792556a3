import { spawnSync } from 'node:child_process';
import path from 'node:path';

/** What may be /bin/sh where the boot scripts run: RHEL has bash, Debian has dash, small initramfs have busybox. */
export const shells: Record<string, readonly [string, ...string[]]> = {
  dash: ['dash'],
  'bash --posix': ['bash', '--posix'],
  'busybox sh': ['busybox', 'sh'],
};

export const dracut = path.join(import.meta.dirname, '../../dracut');

/**
 * Runs lines of sh after the library was read, in the initramfs' locale.
 * @param args $1 and so on
 * @returns stdout, one character a byte
 * @throws Error if the lines fail or say anything on stderr that is not a warning of the library's
 */
export function withLibrary(shell: readonly [string, ...string[]], lines: string, ...args: string[]): string {
  const [program, ...options] = shell;
  const text = `. ${dracut}/immutafs-lib.sh\n. ${dracut}/config.sh\n${lines}`;
  const { status, stdout, stderr, error } = spawnSync(program, [...options, '-c', text, 'test', ...args], {
    encoding: 'latin1',
    // bash takes a socket at stdin for rshd, and reads ~/.bashrc.
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], LC_ALL: 'C' },
    maxBuffer: 64 * 1024 * 1024,
  });
  const said = stderr.replace(/^immutafs: warning: .*\n/gm, '');
  if (status !== 0 || said !== '') {
    throw new Error(`${shell.join(' ')}: ${error?.message ?? ''} exit code ${status}: ${said}`);
  }
  return stdout;
}
