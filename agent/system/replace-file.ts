import fs from 'node:fs';
import path from 'node:path';
import { inFolder, inFolderLater, randomWord } from './foreign-folder.ts';

/**
 * The temporary name of the new file before rename(2). `random` is safe in a folder of another user, and while other
 * processes replace the same file. `fixed` is for a process that holds the lock on the folder's files, and only in a
 * folder of root. The next run removes a file that an interrupted run left behind.
 */
export type TemporaryName = 'random' | 'fixed';

/**
 * Replaces a file or a symbolic link atomically. Creates the new file in the same folder, renames it (rename(2)) and
 * waits until the folder is on the disk. The folder is opened only once (foreign-folder.ts).
 * @param file an absolute path; an existing file is replaced without being opened
 * @param create creates the new file or link at a path that does not exist; receives also the path of the existing file
 * @throws HostError ELOOP for a link in the path that another user may have created; the system's error otherwise, such
 *     as EISDIR for a folder
 */
export function replaceFile(
  file: string,
  name: TemporaryName,
  create: (temporary: string, existing: string) => void,
): void {
  inFolder(path.dirname(file), (at) => {
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
    syncFolder(at('.'));
  });
}

/**
 * Replaces a regular file atomically, by asynchronous operations. The folder may belong to another user: it is opened
 * only once, and the temporary name is random.
 * @throws HostError ELOOP for a link in the path that another user may have created; the system's error otherwise
 */
export async function replaceFileLater(file: string, bytes: Buffer, mode: number): Promise<void> {
  await inFolderLater(path.dirname(file), async (at) => {
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
    const folder = await fs.promises.open(at('.'), fs.constants.O_RDONLY);
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  });
}

/** Creates a file, which must not exist (O_EXCL), and waits until it is on the disk. @throws the system's error */
export function writeNewFile(file: string, bytes: Buffer, mode: number): void {
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
  const fd = fs.openSync(file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_NONBLOCK, 0o600);
  try {
    fs.writeFileSync(fd, bytes);
    fs.fchmodSync(fd, mode);
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** Waits until the entries of a folder are on the disk (fsync(2)). */
export function syncFolder(folder: string): void {
  const fd = fs.openSync(folder, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}
