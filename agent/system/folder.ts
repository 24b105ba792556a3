import fs from 'node:fs';
import path from 'node:path';
import { HostError } from '../lib/errors.ts';

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
/** S_ISVTX (inode(7)), for which Node has no name. */
const sticky = 0o1000;
/** As many as the kernel follows (path_resolution(7)). */
const mostLinks = 40;

/**
 * Opens a folder and keeps it open while `action` works in it, so that no other user can put another folder in its
 * place meanwhile. Every component of the path is opened in the folder that was opened before it. A symbolic link is
 * followed only where root owns both the link and the folder that holds the link, and no other user can replace the
 * link there.
 * @param folder an absolute path
 * @param action gets the way to a name in the open folder, and the user who owns the folder
 * @throws HostError ELOOP for a link that another user could have made; errno's
 */
export function inFolder<T>(folder: string, action: (at: (name: string) => string, owner: number) => T): T {
  const fd = openFolder(folder);
  try {
    return action((name) => inside(fd, name), fs.fstatSync(fd).uid);
  } finally {
    fs.closeSync(fd);
  }
}

function openFolder(folder: string): number {
  const left = names(folder);
  let fd = open('/');
  try {
    for (let links = 0, name = left.shift(); name !== undefined; name = left.shift()) {
      const next = inside(fd, name);
      if (!fs.lstatSync(next).isSymbolicLink()) {
        fd = replace(fd, open(next));
        continue;
      }
      if (++links > mostLinks) throw new HostError(`${folder}: too many symbolic links`, 'ELOOP');
      if (!isOnlyRoots(fd, next)) throw new HostError(untrusted(fd, name), 'ELOOP');
      const to = fs.readlinkSync(next);
      if (to.startsWith('/')) fd = replace(fd, open('/'));
      left.unshift(...names(to));
    }
    return fd;
  } catch (error) {
    fs.closeSync(fd);
    throw error;
  }
}

const names = (file: string) => file.split('/').filter((name) => name !== '' && name !== '.');

/** proc_pid_fd(5): leads to the open folder itself, wherever it was moved. */
const inside = (fd: number, name: string) => `/proc/self/fd/${fd}/${name}`;

/** libuv adds O_CLOEXEC to every open(2). */
const open = (file: string) => fs.openSync(file, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK);

function replace(before: number, after: number): number {
  fs.closeSync(before);
  return after;
}

/** In a sticky folder (/tmp) only the owner of the link or of the folder can remove the link (inode(7)). */
function isOnlyRoots(folder: number, link: string): boolean {
  const { uid, mode } = fs.fstatSync(folder);
  const isClosed = (mode & 0o022) === 0 || (mode & sticky) !== 0;
  return fs.lstatSync(link).uid === 0 && uid === 0 && isClosed;
}

function untrusted(folder: number, name: string): string {
  const link = path.join(fs.readlinkSync(`/proc/self/fd/${folder}`), name);
  return `${link} is a symbolic link that a user other than root can replace: use a path without it`;
}
