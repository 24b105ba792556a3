import fs from 'node:fs';
import path from 'node:path';
import { SystemError, errorCode } from '../lib/errors.ts';
import { runSync } from './exec.ts';

const flock = '/usr/bin/flock';

/**
 * Takes an exclusive lock (flock(2)), which the kernel releases when this process ends, however it ends. flock(1) locks
 * the open file description that it inherits. The lock lasts until every descriptor of it is closed, and after flock(1)
 * has exited, only this process has one (Node opens files close-on-exec). The lock file is never removed, because
 * otherwise a process that has opened the removed file and a process that has opened the new file could both hold a
 * lock. The process ID in the file is used only in messages.
 * @param name the file's name in messages
 * @returns a function that releases the lock
 * @throws SystemError EEXIST that names the process that holds the lock
 */
export function lock(file: string, name: string): () => void {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  const { O_RDWR, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
  const fd = fs.openSync(file, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
  try {
    if (!fs.fstatSync(fd).isFile()) throw new SystemError(`${name}: not a regular file`);
    lockDescriptor(fd, name);
    fs.ftruncateSync(fd);
    fs.writeSync(fd, `${process.pid}\n`, 0);
  } catch (error) {
    fs.closeSync(fd);
    throw error;
  }
  return () => {
    fs.ftruncateSync(fd);
    fs.closeSync(fd);
  };
}

function lockDescriptor(fd: number, name: string): void {
  const { exit, error } = runSync(flock, ['--nonblock', '0'], { stdio: [fd, 'ignore', 'ignore'] });
  if (error !== undefined) throw new SystemError(`${flock}: ${error.message}`, errorCode(error));
  if (exit === 0) return;
  // flock(1) exits with 1 if another process holds the lock. Its other exit codes are those of sysexits.h.
  if (exit !== 1)
    throw new SystemError(
      `${name}: ${flock} could not lock it (${exit === null ? 'ended by a signal' : `exit code ${exit}`})`,
    );
  const owner = Buffer.alloc(32);
  const pid = /^\d+/.exec(owner.toString('latin1', 0, fs.readSync(fd, owner, 0, 32, 0)))?.[0];
  const who = pid === undefined ? name : `process ${pid}`;
  throw new SystemError(`another immutafs-agent prepare is running (${who})`, 'EEXIST');
}
