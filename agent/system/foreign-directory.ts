import fs from 'node:fs';
import path from 'node:path';
import { SystemError } from '../lib/errors.ts';
import { whileOpen } from './files.ts';

/** O_PATH (asm-generic/fcntl.h), which Node does not define, opens a name without opening the device or FIFO itself. */
export const O_PATH = 0o10000000;

/**
 * Returns a random word for the name of a new file in a directory of another user. V8 seeds Math.random from the kernel at
 * each start. If another user guesses the name, opening the file fails (O_EXCL).
 */
export function randomWord(): string {
  return Math.random().toString(36).slice(2).padEnd(10, '0');
}

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
/** S_ISVTX (inode(7)), which Node does not define. */
const sticky = 0o1000;
/** The kernel's limit for the number of symbolic links in a path (path_resolution(7)). */
const mostLinks = 40;

/**
 * Runs an action in a directory that is kept open, so that another user cannot replace the directory in the meantime. Every
 * component of the path is opened relative to its parent directory. A symbolic link is followed only if root owns both the
 * link and the directory that contains the link, and if no other user can replace the link.
 * @param directory an absolute path
 * @param action receives a function that returns the path of a name in the open directory, and the UID of the directory's
 *     owner
 * @throws SystemError ELOOP for a link that another user may have created; the system's error otherwise
 */
export function inDirectory<T>(
  directory: string,
  action: (at: (name: string) => string, owner: number) => T,
): T {
  return whileOpen(openDirectory(directory), (fd) =>
    action((name) => inside(fd, name), fs.fstatSync(fd).uid),
  );
}

/** Like inDirectory, for an asynchronous action. */
export async function inDirectoryLater<T>(
  directory: string,
  action: (at: (name: string) => string) => Promise<T>,
): Promise<T> {
  const fd = openDirectory(directory);
  try {
    return await action((name) => inside(fd, name));
  } finally {
    fs.closeSync(fd);
  }
}

function openDirectory(directory: string): number {
  const remaining = names(directory);
  let fd = open('/');
  try {
    for (let links = 0, name = remaining.shift(); name !== undefined; name = remaining.shift()) {
      const next = inside(fd, name);
      if (!fs.lstatSync(next).isSymbolicLink()) {
        fd = replace(fd, open(next));
        continue;
      }
      if (++links > mostLinks) throw new SystemError(`${directory}: too many symbolic links`, 'ELOOP');
      if (!isTrusted(fd, next)) throw new SystemError(untrustedLink(fd, name), 'ELOOP');
      const to = fs.readlinkSync(next);
      if (to.startsWith('/')) fd = replace(fd, open('/'));
      remaining.unshift(...names(to));
    }
    return fd;
  } catch (error) {
    fs.closeSync(fd);
    throw error;
  }
}

const names = (file: string) => file.split('/').filter((name) => name !== '' && name !== '.');

/** The link in /proc/self/fd refers to the open directory even if the directory was moved (proc_pid_fd(5)). */
const inside = (fd: number, name: string) => `/proc/self/fd/${fd}/${name}`;

const open = (file: string) => fs.openSync(file, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK);

function replace(before: number, after: number): number {
  fs.closeSync(before);
  return after;
}

/**
 * Whether no user other than root can replace the link. In a sticky directory (/tmp), only the owner of the link or of the
 * directory can remove the link (inode(7)).
 */
function isTrusted(directory: number, link: string): boolean {
  const { uid, mode } = fs.fstatSync(directory);
  const isClosed = (mode & 0o022) === 0 || (mode & sticky) !== 0;
  return fs.lstatSync(link).uid === 0 && uid === 0 && isClosed;
}

function untrustedLink(directory: number, name: string): string {
  const link = path.join(fs.readlinkSync(`/proc/self/fd/${directory}`), name);
  return `${link} is a symbolic link that a user other than root can replace: use a path without it`;
}
