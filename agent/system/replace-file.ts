import fs from 'node:fs';
import path from 'node:path';
import { HostError } from '../lib/errors.ts';
import { inFolder, randomWord } from './foreign-folder.ts';

/**
 * The name of the new file until rename(2). `random`: safe in a folder of another user, and while other processes
 * replace the same file. `fixed`: for a process that has the lock on the folder's files, and in a folder of root; the
 * next run removes what an interrupted run left.
 */
export type TemporaryName = 'random' | 'fixed';

/**
 * Replaces a file or a symbolic link, whole or not at all: creates the new one beside it, renames it (rename(2)) and
 * waits until the folder is on the disk. The folder is opened once (foreign-folder.ts).
 * @param file an absolute path; whatever is there is replaced and never opened
 * @param create makes the new file or link at a path that does not exist
 * @throws errno's, EISDIR for a folder; HostError ELOOP for a link on the path that another user could have made
 */
export function replaceFile(file: string, name: TemporaryName, create: (temporary: string) => void): void {
  inFolder(path.dirname(file), (at) => {
    const base = path.basename(file);
    const temporary = at(`.${base}.${name === 'random' ? randomWord() : 'immutafs'}`);
    if (name === 'fixed') fs.rmSync(temporary, { force: true });
    try {
      create(temporary);
      fs.renameSync(temporary, at(base));
    } catch (error) {
      fs.rmSync(temporary, { force: true });
      throw error;
    }
    syncFolder(at('.'));
  });
}

export interface Attributes {
  mode: number;
  uid?: number;
  gid?: number;
}

/** Writes a file that must not exist (O_EXCL), and waits until it is on the disk. @throws errno's */
export function writeNewFile(file: string, bytes: Buffer, { mode, uid, gid }: Attributes): void {
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
  const fd = fs.openSync(file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_NONBLOCK, 0o600);
  try {
    fs.writeFileSync(fd, bytes);
    if (uid !== undefined && gid !== undefined) fs.fchownSync(fd, uid, gid);
    // After fchown(2), which clears set-user-ID bits.
    fs.fchmodSync(fd, mode);
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/**
 * The owner and mode of a regular file.
 * @param shown the file's name in messages
 * @returns undefined if there is none
 * @throws HostError for anything but a regular file
 */
export function attributesOf(file: string, shown: string): Required<Attributes> | undefined {
  const stat = fs.lstatSync(file, { throwIfNoEntry: false });
  if (stat === undefined) return undefined;
  if (!stat.isFile()) throw new HostError(`${shown}: not a regular file`);
  return { mode: stat.mode & 0o7777, uid: stat.uid, gid: stat.gid };
}

/** Waits until the names in a folder are on the disk. */
export function syncFolder(folder: string): void {
  const fd = fs.openSync(folder, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}
