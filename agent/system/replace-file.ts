import fs from 'node:fs';
import path from 'node:path';
import { inFolder } from './folder.ts';
import { randomWord } from './random-name.ts';

const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK } = fs.constants;

/**
 * Replaces a file whole or not at all: a new file beside it, fsync(2), rename(2). Safe in a folder of another user: the
 * folder is opened once (folder.ts), and the new file has a name that no one can know before and that must not exist.
 * @param file an absolute path; what is there, also a link or a FIFO, is replaced and never opened
 * @throws errno's, EISDIR for a folder; HostError ELOOP for a link on the way that another user could have made
 */
export function replaceFile(file: string, text: string, mode: number): void {
  inFolder(path.dirname(file), (at) => {
    const temporary = at(`.${path.basename(file)}.${randomWord()}`);
    const fd = fs.openSync(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_NONBLOCK, 0o600);
    try {
      try {
        fs.writeFileSync(fd, text);
        fs.fchmodSync(fd, mode);
        fs.fsyncSync(fd);
      } finally {
        fs.closeSync(fd);
      }
      fs.renameSync(temporary, at(path.basename(file)));
    } catch (error) {
      fs.rmSync(temporary, { force: true });
      throw error;
    }
  });
}
