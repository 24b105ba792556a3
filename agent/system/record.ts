import fs from 'node:fs';
import path from 'node:path';
import { SystemError, errorCode, unless } from '../lib/errors.ts';
import { readAll, whileOpen } from './files.ts';
import { O_PATH, inDirectory } from './foreign-directory.ts';

/** `root`: only root may own the file and write to it. `directory`: the owner of its directory may also own the file. */
export type Owner = 'root' | 'directory';

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, S_IFMT } = fs.constants;

/**
 * Reads a file that a less privileged user may have created. Opens the name with O_PATH, checks the descriptor, and
 * reopens the descriptor for reading (/proc/self/fd). Therefore, only a regular file is opened for reading, even if
 * another process replaces the file in the meantime.
 * @param file an absolute path
 * @param limit the maximum size, in bytes
 * @param shown the file's name in messages
 * @returns one character per byte (latin1); undefined if the file does not exist
 * @throws SystemError with the reason: ELOOP for a symbolic link, EINVAL for another file type, EPERM for a wrong owner,
 *     mode or link count, EFBIG for a file larger than `limit`; the system's error otherwise
 */
export function readRecord(file: string, owner: Owner, limit: number, shown = file): string | undefined {
  // If /proc is not mounted, every open fails with ENOENT, even if the file exists.
  const isMissing = (error: unknown) =>
    errorCode(error) === 'ENOENT' && !fs.lstatSync(file, { throwIfNoEntry: false });
  return unless(isMissing, () =>
    inDirectory(path.dirname(file), (at, directoryOwner) =>
      whileOpen(fs.openSync(at(path.basename(file)), O_PATH | O_NOFOLLOW), (named) => {
        check(shown, fs.fstatSync(named), owner, directoryOwner, limit);
        return readOpened(shown, `/proc/self/fd/${named}`, limit);
      }),
    ),
  );
}

function check(file: string, stat: fs.Stats, owner: Owner, directoryOwner: number, limit: number): void {
  const { uid, mode, nlink, size } = stat;
  if (stat.isSymbolicLink()) throw new SystemError(`${file}: a symbolic link, not a regular file`, 'ELOOP');
  if (!stat.isFile()) throw new SystemError(`${file}: ${kind(mode)}, not a regular file`, 'EINVAL');
  if (nlink > 1) throw new SystemError(`${file}: has ${nlink} names (hard links), must have one`, 'EPERM');
  const others = owner === 'directory' ? ` or by the owner of its directory (user ${directoryOwner})` : '';
  if (uid !== 0 && !(owner === 'directory' && uid === directoryOwner))
    throw new SystemError(`${file}: owned by user ${uid}, must be owned by root${others}`, 'EPERM');
  if (owner === 'root' && (mode & 0o022) !== 0)
    throw new SystemError(`${file}: users other than root may write to it`, 'EPERM');
  if (size > limit) throw new SystemError(`${file}: larger than ${limit} bytes`, 'EFBIG');
}

function kind(mode: number): string {
  const { S_IFDIR, S_IFIFO, S_IFSOCK, S_IFCHR } = fs.constants;
  const names = { [S_IFDIR]: 'a directory', [S_IFIFO]: 'a FIFO', [S_IFSOCK]: 'a socket' };
  return names[mode & S_IFMT] ?? ((mode & S_IFMT) === S_IFCHR ? 'a character device' : 'a block device');
}

function readOpened(shown: string, file: string, limit: number): string {
  return whileOpen(fs.openSync(file, O_RDONLY | O_NONBLOCK), (fd) => {
    if (!fs.fstatSync(fd).isFile()) throw new SystemError(`${shown}: not a regular file`, 'EINVAL');
    return readAll(fd, shown, limit);
  });
}
