import fs from 'node:fs';
import { errorCode, errorMessage } from '../../lib/errors.ts';
import { isWithoutUnnamed, openWithoutName } from './unnamed.ts';

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
  let fd: number;
  try {
    fd = openWithoutName(directory);
  } catch (error) {
    if (!isWithoutUnnamed(error)) throw error;
    fs.accessSync(directory, fs.constants.W_OK);
    return;
  }
  try {
    fs.writeSync(fd, 'x');
  } finally {
    fs.closeSync(fd);
  }
}
