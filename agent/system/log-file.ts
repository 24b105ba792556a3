import fs from 'node:fs';
import path from 'node:path';
import { SystemError, onFile, unlessAbsent } from '../lib/errors.ts';
import { inDirectory } from './foreign-directory.ts';
import { fill } from './files.ts';

/** What identifies a log file, and how much of it there is. */
export interface LogFileStat {
  /** The device and the inode, "DEVICE:INODE". */
  inode: string;
  bytes: number;
  /** How much space it uses, in bytes: less than its size if it has holes. */
  allocated: number;
  /** The mtime, in milliseconds since the epoch, with a fraction. */
  modified: number;
  isFile: boolean;
}

const { O_RDONLY, O_NONBLOCK, O_NOFOLLOW } = fs.constants;

/**
 * Opens a log file.
 *
 * The directory may belong to another user, who could put a symbolic link in the place of the log and have the agent send
 * a file that only the agent may read. Therefore, only a regular file is opened, the log itself must not be a symbolic
 * link, and a symbolic link on the way is followed only if root made it (foreign-directory.ts).
 *
 * @throws SystemError with the reason
 */
export function openLogFile(file: string): LogFile {
  return onFile(file, () => {
    const flags = O_RDONLY | O_NONBLOCK | O_NOFOLLOW;
    const fd = inDirectory(path.dirname(file), (at) => openRegular(at(path.basename(file)), flags, file));
    return logFile(file, fd);
  });
}

function openRegular(at: string, flags: number, shown: string): number {
  // Opening a device could have an effect, so the type is examined before as well as after.
  const named = fs.lstatSync(at);
  if (named.isSymbolicLink()) throw new SystemError(`${shown}: a symbolic link; name its target`, 'ELOOP');
  if (!named.isFile()) throw new SystemError(`${shown}: not a regular file`, 'EINVAL');
  const fd = fs.openSync(at, flags);
  if (fs.fstatSync(fd).isFile()) return fd;
  fs.closeSync(fd);
  throw new SystemError(`${shown}: not a regular file`, 'EINVAL');
}

/** A log file that stays open, so that it can be read to its end after it was renamed or removed. */
export type LogFile = ReturnType<typeof logFile>;

function logFile(file: string, fd: number) {
  return {
    stat: (): LogFileStat => onFile(file, () => describe(fs.fstatSync(fd, { bigint: true }))),
    /** Reads at an offset. @returns the number of bytes, which is smaller than the buffer at the end of the file */
    read: (buffer: Buffer, offset: number): number => onFile(file, () => fill(fd, buffer, offset)),
    close: (): void => {
      try {
        fs.closeSync(fd);
      } catch {
        // An error at closing a file that was only read loses nothing.
      }
    },
  };
}

/**
 * Returns the state of the file with this name, or undefined if there is none.
 * @throws SystemError if it cannot be examined, for example because a directory on the way denies access
 */
export function statLogFile(file: string): LogFileStat | undefined {
  // For a log that does not exist, an exception would take most of the time.
  const read = () => fs.lstatSync(file, { bigint: true, throwIfNoEntry: false });
  const stat = onFile(file, () => unlessAbsent(read));
  return stat && describe(stat);
}

function describe(stat: fs.BigIntStats): LogFileStat {
  const { dev, ino, size, blocks, mtimeNs } = stat;
  const [bytes, modified] = [Math.min(Number(size), mostBytes), withinRange(Number(mtimeNs) / 1e6)];
  const allocated = Number(blocks) * 512;
  return { inode: `${dev}:${ino}`, bytes, allocated, modified, isFile: stat.isFile() };
}

/** A greater size is that of a sparse file, and could not be counted exactly. */
const mostBytes = 2 ** 50;

/** The owner of a file may set any mtime. The checkpoint has room for those between 1970 and the year 30000. */
function withinRange(milliseconds: number): number {
  return Math.max(0, Math.min(milliseconds, 9e14));
}

/**
 * Returns what identifies a directory, and its mtime; undefined if it does not exist. A symbolic link to it is followed.
 * @throws SystemError if it cannot be examined
 */
export function statLogDirectory(directory: string): Pick<LogFileStat, 'inode' | 'modified'> | undefined {
  return statLogFile(`${directory}/.`);
}

/**
 * Calls `changed` when something in the directory changes, with the name that appeared or disappeared, if any. This is
 * only a hint: inotify(7) misses changes on some file systems, such as an overlay on Linux 3.10.
 * @returns a function that ends the watch; the watch also ends if the directory is removed
 */
export function watchDirectory(directory: string, changed: (name?: string) => void): () => void {
  try {
    const watcher = fs.watch(directory, { persistent: false }, (event, name) =>
      changed(event === 'rename' ? (name ?? undefined) : undefined),
    );
    watcher.on('error', () => watcher.close());
    return () => watcher.close();
  } catch {
    return () => undefined;
  }
}

/** The maximum number of names that are read of a directory, which another user may fill. */
const mostNames = 10_000;

/**
 * Returns the names in a directory, sorted, but at most 10,000; none if the directory does not exist.
 * @throws SystemError if the directory cannot be read
 */
export function namesIn(directory: string): string[] {
  return onFile(directory, () => {
    const names: string[] = [];
    const opened = unlessAbsent(() => fs.opendirSync(directory));
    if (opened === undefined) return names;
    try {
      for (let entry = opened.readSync(); entry && names.length < mostNames; entry = opened.readSync())
        names.push(entry.name);
    } finally {
      opened.closeSync();
    }
    return names.sort();
  });
}
