import fs from 'node:fs';
import path from 'node:path';
import { errorCode, errorMessage, hasCode, unless } from '../../lib/errors.ts';
import { whileOpen } from '../files.ts';
import { randomWord } from '../foreign-directory.ts';

/**
 * Tries to write to a directory's file system. The kernel returns EROFS before it checks permissions (fs/namei.c,
 * mnt_want_write() in do_tmpfile()). Without O_TMPFILE, access(2) is used, which performs the same check and also
 * leaves no file behind.
 * @returns OK if the write succeeded, else the error code
 */
export function tryWrite(directory: string): string {
  try {
    write(directory);
    return 'OK';
  } catch (error) {
    return errorCode(error) || errorMessage(error);
  }
}

function write(directory: string): void {
  const fd = openWithoutName(directory);
  if (fd === undefined) fs.accessSync(directory, fs.constants.W_OK);
  else whileOpen(fd, () => fs.writeSync(fd, 'x'));
}

/** O_TMPFILE (asm-generic/fcntl.h), which Node does not define, includes O_DIRECTORY. */
const O_TMPFILE = 0o20000000 | fs.constants.O_DIRECTORY;

/** Matches the file names of probes, which contain the process ID and a word that other users cannot predict. */
const leftover = /^\.immutafs-probe-(\d+)(?:-[0-9a-z]+)?$/;

/**
 * Opens an unnamed file for writing (open(2), O_TMPFILE), so that no file is left behind even if the process is killed.
 * @returns undefined if that is not possible
 */
function openWithoutName(directory: string): number | undefined {
  return unless(isWithoutUnnamed, () => fs.openSync(directory, fs.constants.O_RDWR | O_TMPFILE, 0o600));
}

/**
 * Whether the error means that the kernel (before 3.11) or the file system (vfat, NFS) does not support O_TMPFILE. The
 * error code is EISDIR or EOPNOTSUPP, which libuv calls ENOTSUP (the same number on Linux).
 */
const isWithoutUnnamed = hasCode('EISDIR', 'ENOTSUP', 'EOPNOTSUPP');

/** Like openWithoutName. Without O_TMPFILE, creates a file with a name and removes the name immediately. */
export function openUnnamed(directory: string): number {
  const unnamed = openWithoutName(directory);
  if (unnamed !== undefined) return unnamed;
  const file = probeName(directory);
  const { O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW } = fs.constants;
  const fd = fs.openSync(file, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  fs.unlinkSync(file);
  return fd;
}

export function probeName(directory: string): string {
  return path.join(directory, `.immutafs-probe-${process.pid}-${randomWord()}`);
}

/** Removes the files of probes that were killed, but not the files of running probes. */
export function removeLeftovers(directory: string): void {
  for (const name of fs.readdirSync(directory)) {
    const pid = leftover.exec(name)?.[1];
    if (pid === undefined || fs.existsSync(`/proc/${pid}`)) continue;
    const file = path.join(directory, name);
    const stat = fs.lstatSync(file, { throwIfNoEntry: false });
    if (stat !== undefined && !stat.isDirectory() && stat.uid === process.geteuid?.()) fs.rmSync(file);
  }
}
