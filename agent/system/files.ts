import fs from 'node:fs';
import { HostError } from '../lib/errors.ts';

/** Capacity and fill of a file system (statfs(2)); bytes and inodes. */
export interface Usage {
  /** statfs(2)'s f_type: which file system answered. */
  type: number;
  sizeBytes: number;
  usedBytes: number;
  inodes: number;
  inodesUsed: number;
}

export interface Stat {
  kind: 'file' | 'directory' | 'link' | 'other';
  bytes: number;
  /** What it takes up: a sparse file is larger than that. */
  allocatedBytes: number;
  mode: number;
  uid: number;
  gid: number;
  /** Milliseconds since the epoch: the last change of the content or of anything that stat(2) shows. */
  changed: number;
  /** Milliseconds since the epoch: the last change of the content. */
  modified: number;
}

/**
 * One character a byte. procfs and sysfs files say that they are empty, so their size is no help.
 * @throws HostError EFBIG for more than `limit` bytes; errno's otherwise
 */
export function readLimited(file: string, limit: number): string {
  const fd = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  try {
    return readAll(fd, file, limit);
  } finally {
    fs.closeSync(fd);
  }
}

/**
 * The rest of an open file, one character a byte.
 * @param file for the error
 * @throws HostError EFBIG for more than `limit` bytes; errno's otherwise
 */
export function readAll(fd: number, file: string, limit: number): string {
  const parts: Buffer[] = [];
  let bytes = 0;
  for (;;) {
    const part = Buffer.allocUnsafe(65536);
    const count = fs.readSync(fd, part);
    if (count === 0) return Buffer.concat(parts).toString('latin1');
    bytes += count;
    if (bytes > limit) throw new HostError(`${file}: larger than ${limit} bytes`, 'EFBIG');
    parts.push(part.subarray(0, count));
  }
}

/** Fewer bytes where the file ends before. */
export function readStretch(file: string, offset: number, bytes: number): string {
  const fd = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  try {
    const buffer = Buffer.alloc(bytes);
    let filled = 0;
    for (;;) {
      const count = fs.readSync(fd, buffer, filled, bytes - filled, offset + filled);
      filled += count;
      if (count === 0 || filled === bytes) return buffer.toString('latin1', 0, filled);
    }
  } finally {
    fs.closeSync(fd);
  }
}

const pieceBytes = 1024 * 1024;

/** One after the other, in memory of their own. @throws errno's while it is read */
export function* readPieces(file: string): Generator<Buffer, undefined> {
  const fd = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
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

/** lstat(2) */
export function statOrNothing(file: string): Stat | undefined {
  const stat = fs.lstatSync(file, { throwIfNoEntry: false });
  if (stat === undefined) return undefined;
  const { size, blocks, mode, uid, gid, ctimeMs: changed, mtimeMs: modified } = stat;
  const sizes = { bytes: size, allocatedBytes: blocks * 512 };
  return { kind: kindOf(stat), ...sizes, mode: mode & 0o7777, uid, gid, changed, modified };
}

function kindOf(stat: fs.Stats): Stat['kind'] {
  if (stat.isFile()) return 'file';
  if (stat.isDirectory()) return 'directory';
  return stat.isSymbolicLink() ? 'link' : 'other';
}

export function usageOf(file: string): Usage {
  const { type, bsize, blocks, bfree, files, ffree } = fs.statfsSync(file);
  return {
    type,
    sizeBytes: blocks * bsize,
    usedBytes: (blocks - bfree) * bsize,
    inodes: files,
    inodesUsed: files - ffree,
  };
}
