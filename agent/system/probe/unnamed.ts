import fs from 'node:fs';
import path from 'node:path';
import { errorCode } from '../../lib/errors.ts';
import { randomWord } from '../foreign-folder.ts';

/** O_TMPFILE | O_DIRECTORY (asm-generic/fcntl.h); Node has no name for the first. */
const O_TMPFILE = 0o20000000 | fs.constants.O_DIRECTORY;

/** Of everything that a probe has to give a name: the process's id, and a word that no other user can know before. */
export const leftover = /^\.immutafs-probe-(\d+)(?:-[0-9a-z]+)?$/;

/**
 * Opens a file for writing that never has a name, so that nothing is left behind, not even by a process that
 * is killed here (open(2), O_TMPFILE).
 * @throws errno's; see isWithoutUnnamed
 */
export function openWithoutName(folder: string): number {
  return fs.openSync(folder, fs.constants.O_RDWR | O_TMPFILE, 0o600);
}

/**
 * Whether the kernel (before 3.11) or the file system (vfat, NFS) has no such files: EISDIR or EOPNOTSUPP, which libuv
 * calls ENOTSUP (the same number on Linux).
 */
export function isWithoutUnnamed(error: unknown): boolean {
  return ['EISDIR', 'ENOTSUP', 'EOPNOTSUPP'].includes(errorCode(error));
}

/** Likewise; where there are none, a file whose name is gone before anything is in it. */
export function openUnnamed(folder: string): number {
  try {
    return openWithoutName(folder);
  } catch (error) {
    if (!isWithoutUnnamed(error)) throw error;
  }
  const file = probeName(folder);
  const { O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW } = fs.constants;
  const fd = fs.openSync(file, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  fs.unlinkSync(file);
  return fd;
}

export function probeName(folder: string): string {
  return path.join(folder, `.immutafs-probe-${process.pid}-${randomWord()}`);
}

/** Removes what an earlier probe left that was killed; what a living one has in use stays. */
export function removeLeftovers(folder: string): void {
  for (const name of fs.readdirSync(folder)) {
    const pid = leftover.exec(name)?.[1];
    if (pid === undefined || fs.existsSync(`/proc/${pid}`)) continue;
    const file = path.join(folder, name);
    const stat = fs.lstatSync(file, { throwIfNoEntry: false });
    if (stat !== undefined && !stat.isDirectory() && stat.uid === process.geteuid?.()) fs.rmSync(file);
  }
}
