import fs from 'node:fs';
import { SystemError, hasCode, onFile, unless } from '../../lib/errors.ts';
import { O_PATH } from '../foreign-directory.ts';
import { fill, whileOpen } from '../files.ts';

/** What lstat(2) returns for a name in a directory. */
export type Entry = ReturnType<typeof entryOf>;

/** A directory that is kept open, so that another process cannot put another directory in its place. */
export interface Directory {
  readonly entry: Entry;
  /** Reads the names in the directory, one character per byte (latin1), in parts of at most `batch` names. */
  names(): Generator<string[], void>;
  /** @returns undefined if the name does not exist */
  stat(name: string): Entry | undefined;
  /**
   * Opens a directory in this directory.
   * @throws SystemError ELOOP or ENOTDIR if another file took its place; EXDEV if another file system is mounted on it
   */
  open(name: string): Directory;
  /** Returns the target of a symbolic link, one character per byte (latin1). */
  link(name: string): string;
  file(name: string): OpenFile;
  /** The path of a name in the open directory, valid in every process while the directory is open. */
  path(name: string): string;
  close(): void;
}

export interface OpenFile {
  stat(): Entry;
  /** Fills a buffer from an offset. @returns the number of bytes, smaller than the buffer only at the end of the file */
  read(buffer: Buffer, offset: number): number;
  close(): void;
}

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_NOATIME } = fs.constants;
const batch = 256;

/** Opens a directory by its path, whose last component must not be a symbolic link. @throws SystemError */
export function openDirectory(path: string): Directory {
  return onFile(path, () => directoryAt(path, path, undefined));
}

/** @param device the device that the directory must be on, so that a mount point is an error */
function directoryAt(at: string | Buffer, shown: string, device: bigint | undefined): Directory {
  const fd = fs.openSync(at, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK);
  const stat = fs.fstatSync(fd, { bigint: true });
  if (device !== undefined && stat.dev !== device) {
    fs.closeSync(fd);
    throw new SystemError(
      `${shown}: another file system is mounted here and hides the content of the layer`,
      'EXDEV',
    );
  }
  const textOf = (name: string) => `/proc/self/fd/${fd}/${name}`;
  const inside = (name: string) => Buffer.from(textOf(name), 'latin1');
  const within = <T>(name: string, action: (at: Buffer) => T): T =>
    onFile(`${shown}/${name}`, () => action(inside(name)));
  return {
    entry: entryOf(stat),
    names: () => namesIn(`/proc/self/fd/${fd}`, shown),
    stat: (name) =>
      within(name, (path) => {
        const found = fs.lstatSync(path, { bigint: true, throwIfNoEntry: false });
        return found && entryOf(found);
      }),
    open: (name) => within(name, (path) => directoryAt(path, `${shown}/${name}`, stat.dev)),
    link: (name) => within(name, (path) => fs.readlinkSync(path, 'latin1')),
    file: (name) => within(name, (path) => openFile(path, `${shown}/${name}`)),
    path: (name) => `/proc/${process.pid}/fd/${fd}/${name}`,
    close: () => fs.closeSync(fd),
  };
}

function* namesIn(at: string, shown: string): Generator<string[], void> {
  // Latin-1 keeps bytes that are not valid UTF-8.
  const opened = onFile(shown, () => fs.opendirSync(at, { encoding: 'latin1', bufferSize: batch }));
  const next = () => onFile(shown, () => opened.readSync());
  try {
    let names: string[] = [];
    for (let entry = next(); entry !== null; entry = next()) {
      names.push(entry.name);
      if (names.length < batch) continue;
      yield names;
      names = [];
    }
    if (names.length > 0) yield names;
  } finally {
    opened.closeSync();
  }
}

/**
 * Opens a regular file. Opens the name with O_PATH first and checks its type, so that no FIFO and no device is opened
 * for reading even if another process puts one in the file's place. Does not change the atime, which is evidence, and
 * does not wait for a lease (fcntl(2)).
 * @throws SystemError EINVAL if it is not a regular file; the system's error otherwise
 */
function openFile(at: Buffer, shown: string): OpenFile {
  const fd = whileOpen(fs.openSync(at, O_PATH | O_NOFOLLOW), (named) => {
    if (!fs.fstatSync(named).isFile())
      throw new SystemError(`${shown}: not a regular file any more`, 'EINVAL');
    return openDescriptor(`/proc/self/fd/${named}`);
  });
  return {
    stat: () => onFile(shown, () => entryOf(fs.fstatSync(fd, { bigint: true }))),
    read: (buffer, offset) => onFile(shown, () => fill(fd, buffer, offset)),
    close: () => fs.closeSync(fd),
  };
}

function openDescriptor(at: string): number {
  const flags = O_RDONLY | O_NONBLOCK;
  // Only the owner and a process with CAP_FOWNER may use O_NOATIME (open(2)).
  const fd = unless(hasCode('EPERM'), () => fs.openSync(at, flags | O_NOATIME));
  return fd ?? fs.openSync(at, flags);
}

function entryOf(stat: fs.BigIntStats) {
  const device = stat.isCharacterDevice() || stat.isBlockDevice() ? deviceOf(stat.rdev) : '0:0';
  return {
    type: typeOf(stat),
    /** The permission bits, with set-user-ID, set-group-ID and sticky. */
    mode: Number(stat.mode) & 0o7777,
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    /** In bytes. */
    size: Number(stat.size),
    /** The mtime and the ctime, in nanoseconds since the epoch. */
    mtime: stat.mtimeNs,
    ctime: stat.ctimeNs,
    inode: stat.ino,
    /** "MAJOR:MINOR" of a device; otherwise "0:0". */
    device,
  };
}

/** Formats a device number (makedev(3), glibc's encoding of 64 bits). */
function deviceOf(rdev: bigint): string {
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xfffff000n);
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n);
  return `${major}:${minor}`;
}

function typeOf(stat: fs.BigIntStats) {
  if (stat.isFile()) return 'file';
  if (stat.isDirectory()) return 'directory';
  if (stat.isSymbolicLink()) return 'symlink';
  if (stat.isFIFO()) return 'fifo';
  if (stat.isSocket()) return 'socket';
  return stat.isCharacterDevice() ? 'char' : 'block';
}
