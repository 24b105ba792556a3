import fs from 'node:fs';
import { errorCode, errorMessage } from '../../lib/errors.ts';
import { isWithoutUnnamed, openWithoutName } from './unnamed.ts';

/**
 * Writes to a folder's file system. EROFS is answered before any permission is looked at (fs/namei.c,
 * mnt_want_write() in do_tmpfile()). Where there are no files without a name, access(2) answers instead, which
 * asks the same question and leaves nothing behind either.
 * @returns errno's name, or OK if the write went through
 */
export function tryWrite(folder: string): string {
  try {
    write(folder);
    return 'OK';
  } catch (error) {
    return errorCode(error) || errorMessage(error);
  }
}

function write(folder: string): void {
  let fd: number;
  try {
    fd = openWithoutName(folder);
  } catch (error) {
    if (!isWithoutUnnamed(error)) throw error;
    fs.accessSync(folder, fs.constants.W_OK);
    return;
  }
  try {
    fs.writeSync(fd, 'x');
  } finally {
    fs.closeSync(fd);
  }
}
