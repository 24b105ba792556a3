import fs from 'node:fs';
import { SystemError } from '../lib/errors.ts';

/** The size and usage of a file system, in bytes and in inodes (statfs(2)). */
export type Usage = ReturnType<typeof usageOf>;

export interface Stat {
  kind: 'file' | 'directory' | 'link' | 'other';
  bytes: number;
  /** The disk space in use, which is less than `bytes` for a sparse file. */
  allocatedBytes: number;
  mode: number;
  uid: number;
  gid: number;
  /** The ctime, in milliseconds since the epoch. */
  changed: number;
  /** The mtime, in milliseconds since the epoch. */
  modified: number;
  /** "major:minor" (st_dev). On an overlay and on Btrfs, mountinfo has another device for the file system. */
  device: string;
  inode: number;
}

/**
 * Reads a whole file, one character per byte (latin1). The size from stat(2) is not used, because it does not apply to
 * files in procfs and sysfs.
 * @throws SystemError EFBIG if the file is larger than `limit` bytes; the system's error otherwise
 */
export function readLimited(file: string, limit: number): string {
  return whileOpen(open(file), (fd) => readAll(fd, file, limit));
}

const open = (file: string) => fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);

/** Runs a synchronous action on an open file, and closes the file. */
export function whileOpen<T>(fd: number, action: (fd: number) => T): T {
  try {
    return action(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** Waits until a file is on the disk (fsync(2)). */
export function syncFile(file: string): void {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
  whileOpen(fs.openSync(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK), fs.fsyncSync);
}

/** Waits until the entries of a directory are on the disk. */
export function syncDirectory(directory: string): void {
  whileOpen(fs.openSync(directory, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY), fs.fsyncSync);
}

/** Reused for all files, because allocating a buffer takes longer than reading a small file. */
let buffer: Buffer | undefined;

/**
 * Reads the rest of an open file, one character per byte (latin1).
 * @param file the file name in error messages
 * @throws SystemError EFBIG if more than `limit` bytes remain; the system's error otherwise
 */
export function readAll(fd: number, file: string, limit: number): string {
  buffer ??= Buffer.allocUnsafeSlow(65536);
  let text = '';
  let filled = 0;
  for (;;) {
    const count = fs.readSync(fd, buffer, filled, buffer.length - filled, null);
    filled += count;
    if (count === 0) return text + buffer.toString('latin1', 0, filled);
    if (text.length + filled > limit) throw new SystemError(`${file}: larger than ${limit} bytes`, 'EFBIG');
    if (filled < buffer.length) continue;
    text += buffer.toString('latin1', 0, filled);
    filled = 0;
  }
}

/** Reads bytes at an offset of a file, one character per byte (latin1). Returns fewer bytes at the end of the file. */
export function readRange(file: string, offset: number, bytes: number): string {
  const buffer = Buffer.alloc(bytes);
  return whileOpen(open(file), (fd) => buffer.toString('latin1', 0, fill(fd, buffer, offset)));
}

/** Fills a buffer from an offset of an open file. @returns the number of bytes, which is smaller at the end of the file */
export function fill(fd: number, buffer: Buffer, offset: number): number {
  let filled = 0;
  for (;;) {
    const count = fs.readSync(fd, buffer, filled, buffer.length - filled, offset + filled);
    filled += count;
    if (count === 0 || filled === buffer.length) return filled;
  }
}

const pieceBytes = 1024 * 1024;

/** Reads a file in buffers of 1 MiB. @throws the system's error, also during the iteration */
export function* readPieces(file: string): Generator<Buffer, undefined> {
  const fd = open(file);
  try {
    for (;;) {
      const piece = Buffer.allocUnsafe(pieceBytes);
      const count = fs.readSync(fd, piece);
      if (count === 0) return undefined;
      yield piece.subarray(0, count);
    }
  } finally {
    fs.closeSync(fd);
  }
}

/** Returns the result of lstat(2), or undefined if the file does not exist. */
export function statIfPresent(file: string | Buffer): Stat | undefined {
  const stat = fs.lstatSync(file, { throwIfNoEntry: false });
  return stat && describeStat(stat);
}

export function describeStat(stat: fs.Stats): Stat {
  const { size, blocks, mode, uid, gid, ctimeMs: changed, mtimeMs: modified, dev, ino: inode } = stat;
  const sizes = { bytes: size, allocatedBytes: blocks * 512 };
  const identity = { device: deviceName(dev), inode };
  return { kind: kindOf(stat), ...sizes, mode: mode & 0o7777, uid, gid, changed, modified, ...identity };
}

/** Formats st_dev as in mountinfo. The kernel's device numbers have 12 bits for major and 20 bits for minor. */
function deviceName(dev: number): string {
  return `${(dev >>> 8) & 0xfff}:${(dev & 0xff) | ((dev >>> 12) & 0xfff00)}`;
}

function kindOf(stat: fs.Stats): Stat['kind'] {
  if (stat.isFile()) return 'file';
  if (stat.isDirectory()) return 'directory';
  return stat.isSymbolicLink() ? 'link' : 'other';
}

export function usageOf(file: string) {
  const { type, bsize, blocks, bfree, files, ffree } = fs.statfsSync(file);
  return {
    /** The type of the file system (f_type in statfs(2)). */
    type,
    sizeBytes: blocks * bsize,
    usedBytes: (blocks - bfree) * bsize,
    inodes: files,
    inodesUsed: files - ffree,
  };
}
