import fs from 'node:fs';
import path from 'node:path';
import { HostError, errorCode, isAbsent, onFile } from '../lib/errors.ts';

/** What identifies a log file, and how much of it there is. */
export interface LogFileStat {
  /** The device and the inode, "DEVICE:INODE". */
  inode: string;
  bytes: number;
  /** The mtime, in milliseconds since the epoch, with a fraction. */
  modified: number;
}

/** A log file that stays open, so that it can be read to its end after it was renamed or removed. */
export interface LogFile {
  stat(): LogFileStat;
  /** Reads at an offset. @returns the number of bytes, which is smaller than the buffer at the end of the file */
  read(buffer: Buffer, offset: number): number;
  close(): void;
}

const { O_RDONLY, O_NONBLOCK, O_NOFOLLOW } = fs.constants;

/**
 * Opens a log file.
 *
 * The folder may belong to another user, who could put a symbolic link in the place of the log and have the agent send
 * a file that only the agent may read. Therefore, only a regular file is opened, and no symbolic link is followed.
 *
 * @throws HostError with the reason
 */
export function openLogFile(file: string): LogFile {
  return onFile(file, () => {
    const fd = openWithoutLinks(file);
    try {
      if (!fs.fstatSync(fd).isFile()) throw new HostError(`${file}: not a regular file`, 'EINVAL');
      // The kernel knows under which name the file was opened; a renamed folder or link on the way shows here.
      if (!isOpenedAs(fd, file))
        throw new HostError(`${file}: reached through a symbolic link; name the path without it`, 'ELOOP');
      return logFile(file, fd);
    } catch (error) {
      fs.closeSync(fd);
      throw error;
    }
  });
}

function openWithoutLinks(file: string): number {
  try {
    return fs.openSync(file, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
  } catch (error) {
    // The kernel's own words, "too many symbolic links", would make the reader search for a loop.
    if (errorCode(error) === 'ELOOP')
      throw new HostError(`${file}: a symbolic link; name its target`, 'ELOOP');
    throw error;
  }
}

/** Whether the path that the kernel reports is the path that was opened. The file may have been renamed since. */
function isOpenedAs(fd: number, file: string): boolean {
  const opened = fs.readlinkSync(`/proc/self/fd/${fd}`).replace(/ \(deleted\)$/, '');
  return path.dirname(opened) === path.dirname(file);
}

function logFile(file: string, fd: number): LogFile {
  return {
    stat: () => onFile(file, () => describe(fs.fstatSync(fd, { bigint: true }))),
    read: (buffer, offset) =>
      onFile(file, () => {
        let filled = 0;
        for (;;) {
          const count = fs.readSync(fd, buffer, filled, buffer.length - filled, offset + filled);
          filled += count;
          if (count === 0 || filled === buffer.length) return filled;
        }
      }),
    close: () => fs.closeSync(fd),
  };
}

/**
 * Returns the state of the file with this name, or undefined if there is none.
 * @throws HostError if it cannot be examined, for example because a folder on the way denies access
 */
export function statLogFile(file: string): LogFileStat | undefined {
  return onFile(file, () => {
    try {
      return describe(fs.lstatSync(file, { bigint: true }));
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
  });
}

function describe({ dev, ino, size, mtimeNs }: fs.BigIntStats): LogFileStat {
  return { inode: `${dev}:${ino}`, bytes: Number(size), modified: withinRange(Number(mtimeNs) / 1e6) };
}

/** The owner of a file may set any mtime. The checkpoint has room for those between 1970 and the year 30000. */
function withinRange(milliseconds: number): number {
  return Math.max(0, Math.min(milliseconds, 9e14));
}

/**
 * Calls `changed` when something in the folder changes. This is only a hint: inotify(7) misses changes on some file
 * systems, such as an overlay on Linux 3.10.
 * @returns a function that ends the watch; the watch also ends if the folder is removed
 */
export function watchFolder(folder: string, changed: () => void): () => void {
  try {
    const watcher = fs.watch(folder, { persistent: false }, changed);
    watcher.on('error', () => watcher.close());
    return () => watcher.close();
  } catch {
    return () => undefined;
  }
}

/**
 * Returns the names in a folder, sorted; none if the folder does not exist.
 * @throws HostError if the folder cannot be read
 */
export function namesIn(folder: string): string[] {
  return onFile(folder, () => {
    try {
      return fs.readdirSync(folder).sort();
    } catch (error) {
      if (isAbsent(error)) return [];
      throw error;
    }
  });
}
