import fs from 'node:fs';
import { errorCode, errorMessage } from '../../lib/errors.ts';
import { runSync } from '../exec.ts';
import { probeProgram } from './program.ts';
import { openUnnamed } from './unnamed.ts';

const nobody = 65534;

/**
 * Executes a program in a directory.
 * @returns EACCES on a mount with noexec (execve(2)), RAN if the program ran, else the error code
 */
export function tryExecute(directory: string): string {
  const { error } = run(directory, 0o700);
  return error === undefined ? 'RAN' : errorCode(error) || errorMessage(error);
}

/**
 * Executes a set-user-ID program of root as the user nobody. Requires root.
 * @returns HONOURED if the program ran as root, IGNORED if it did not, EACCES on a mount with noexec, else the error
 *     code
 */
export function trySetUid(directory: string): string {
  if (process.geteuid?.() !== 0) return 'EPERM';
  // With no_new_privs (prctl(2)), the set-user-ID bit has no effect on any mount.
  if (/^NoNewPrivs:\s*1/m.test(fs.readFileSync('/proc/self/status', 'latin1'))) return 'NO_NEW_PRIVS';
  const { error, exit } = run(directory, 0o4711, { uid: nobody, gid: nobody });
  if (error !== undefined) return errorCode(error) || errorMessage(error);
  return exit === 0 ? 'IGNORED' : 'HONOURED';
}

function run(directory: string, mode: number, as: { uid?: number; gid?: number } = {}) {
  const writable = openUnnamed(directory);
  let program: number;
  try {
    fs.writeSync(writable, probeProgram());
    fs.fchmodSync(writable, mode);
    // Reopen the file read-only, because a file that is open for writing cannot be executed (ETXTBSY).
    program = fs.openSync(`/proc/self/fd/${writable}`, fs.constants.O_RDONLY);
  } finally {
    fs.closeSync(writable);
  }
  try {
    return runSync('/proc/self/fd/3', [], { ...as, stdio: ['ignore', 'ignore', 'ignore', program] });
  } finally {
    fs.closeSync(program);
  }
}
