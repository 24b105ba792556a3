import fs from 'node:fs';
import path from 'node:path';
import { syncDirectory, whileOpen } from './files.ts';
import { inDirectory, inDirectoryLater, randomWord } from './foreign-directory.ts';

/**
 * The temporary name of the new file before rename(2). `random` is safe in a directory of another user, and while other
 * processes replace the same file. `fixed` is for a process that holds the lock on the directory's files, and only in a
 * directory of root. The next run removes a file that an interrupted run left behind.
 */
type TemporaryName = 'random' | 'fixed';

/**
 * Replaces a file or a symbolic link atomically. Creates the new file in the same directory, renames it (rename(2)) and
 * waits until the directory is on the disk. The directory is opened only once (foreign-directory.ts).
 * @param file an absolute path; an existing file is replaced without being opened
 * @param create creates the new file or link at a path that does not exist; receives also the path of the existing file
 * @throws SystemError ELOOP for a link in the path that another user may have created; the system's error otherwise, such
 *     as EISDIR for a directory
 */
export function replaceFile(
  file: string,
  name: TemporaryName,
  create: (temporary: string, existing: string) => void,
): void {
  inDirectory(path.dirname(file), (at) => {
    const base = path.basename(file);
    const temporary = at(`.${base}.${name === 'random' ? randomWord() : 'immutafs'}`);
    if (name === 'fixed') fs.rmSync(temporary, { force: true });
    try {
      create(temporary, at(base));
      fs.renameSync(temporary, at(base));
    } catch (error) {
      fs.rmSync(temporary, { force: true });
      throw error;
    }
    syncDirectory(at('.'));
  });
}

/**
 * Replaces a regular file atomically, by asynchronous operations. The directory may belong to another user: it is opened
 * only once, and the temporary name is random.
 * @throws SystemError ELOOP for a link in the path that another user may have created; the system's error otherwise
 */
export async function replaceFileLater(file: string, bytes: Buffer, mode: number): Promise<void> {
  await inDirectoryLater(path.dirname(file), async (at) => {
    const base = path.basename(file);
    const temporary = at(`.${base}.${randomWord()}`);
    try {
      const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = fs.constants;
      const handle = await fs.promises.open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
      try {
        await handle.writeFile(bytes);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await fs.promises.rename(temporary, at(base));
    } catch (error) {
      await fs.promises.rm(temporary, { force: true });
      throw error;
    }
    const directory = await fs.promises.open(at('.'), fs.constants.O_RDONLY);
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  });
}

/** Creates a file, which must not exist (O_EXCL), and waits until it is on the disk. @throws the system's error */
export function writeNewFile(file: string, bytes: Buffer, mode: number): void {
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
  whileOpen(fs.openSync(file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_NONBLOCK, 0o600), (fd) => {
    fs.writeFileSync(fd, bytes);
    fs.fchmodSync(fd, mode);
    fs.fsyncSync(fd);
  });
}
