import fs from 'node:fs';
import os from 'node:os';
import { hasCode, onFile, unless } from '../lib/errors.ts';

/** Returns the caller's working directory, terminal (without /dev/; empty if stdin is none), shell and login user ID. */
export function caller() {
  const link = unless(
    () => true,
    () => fs.readlinkSync('/proc/self/fd/0'),
  );
  const shell = process.env['SHELL'] ?? '';
  return {
    directory: unless(hasCode('ENOENT', 'EACCES'), () => process.cwd()) ?? '/',
    terminal: /^\/dev\/((pts\/|tty)[A-Za-z0-9]+|console|hvc\d+)$/.exec(link ?? '')?.[1] ?? '',
    shell: shell.startsWith('/') && fs.existsSync(shell) ? shell : '/bin/sh',
    memory: os.totalmem(),
    pid: process.pid,
  };
}

/** Creates a directory. @returns false if it exists */
export function makeNewDirectory(directory: string, mode: number): boolean {
  return (
    onFile(directory, () => unless(hasCode('EEXIST'), () => (fs.mkdirSync(directory, { mode }), true))) ??
    false
  );
}

/** Removes a directory with everything in it, but nothing on other file systems: nothing is mounted there in the guest. */
export function removeDirectory(directory: string): void {
  onFile(directory, () => fs.rmSync(directory, { recursive: true, force: true }));
}

/** Sends SIGKILL to a process, which may have exited. */
export function killProcess(pid: number): void {
  unless(hasCode('ESRCH'), () => process.kill(pid, 'SIGKILL'));
}
