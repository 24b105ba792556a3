import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { HostError, errorCode, errorMessage } from './errors.ts';

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
  mode: number;
  uid: number;
  gid: number;
}

/**
 * The one door to the system. Reads are synchronous: what `status` reads is procfs, sysfs and the local
 * disk, and a start of milliseconds leaves nothing to overlap. Every failure is a HostError with errno's name.
 */
export interface Host {
  /** The file's text, one character a byte (latin1), so that nothing is lost. At most `limit` bytes. */
  read(file: string, limit?: number): string;
  /** Names in a folder, sorted. */
  list(folder: string): string[];
  /** Where a symbolic link points, as written in it. */
  link(file: string): string;
  /** The path with every symbolic link resolved. */
  resolve(file: string): string;
  /** lstat(2); undefined where there is no such file. */
  stat(file: string): Stat | undefined;
  usage(file: string): Usage;
  /** open(2) of a file without a name (O_TMPFILE) in a folder: returns errno's name, or 'OK' if it worked. */
  tryWrite(folder: string): string;
  /** Whole or not at all: a temporary file beside it, fsync, rename. */
  writeAtomically(file: string, text: string, mode: number): void;
  environment(): { hostname: string; kernel: string; uid: number; seconds: number };
  now(): Date;
}

const defaultLimit = 16 * 1024 * 1024;
/** O_TMPFILE | O_DIRECTORY (asm-generic/fcntl.h); Node has no name for the first. */
const O_TMPFILE = 0o20000000 | fs.constants.O_DIRECTORY;

/**
 * @param root where the system's root is; tests give a folder of fixtures
 */
export function systemHost(root = '/'): Host {
  const at = (file: string) => (root === '/' ? file : path.join(root, file));
  return {
    read: (file, limit = defaultLimit) => ask(file, () => readLimited(at(file), limit)),
    list: (folder) => ask(folder, () => fs.readdirSync(at(folder)).sort()),
    link: (file) => ask(file, () => fs.readlinkSync(at(file))),
    resolve: (file) => ask(file, () => withoutRoot(fs.realpathSync(at(file)), root)),
    stat: (file) => ask(file, () => statOrNothing(at(file))),
    usage: (file) => ask(file, () => usageOf(at(file))),
    tryWrite: (folder) => tryWrite(at(folder)),
    writeAtomically: (file, text, mode) => ask(file, () => writeAtomically(at(file), text, mode)),
    environment: () => ({
      hostname: os.hostname(),
      kernel: os.release(),
      uid: process.getuid?.() ?? -1,
      seconds: os.uptime(),
    }),
    now: () => new Date(),
  };
}

function ask<T>(file: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof HostError) throw error;
    throw new HostError(`${file}: ${reason(error)}`, errorCode(error));
  }
}

/** Node's "ENOENT: no such file or directory, open '/x'" without the call and the path. */
function reason(error: unknown): string {
  return errorMessage(error)
    .replace(/^E[A-Z0-9]+: /, '')
    .replace(/, \w+( '.*)?$/s, '');
}

/** procfs and sysfs files say that they are empty, so their size is no help. */
function readLimited(file: string, limit: number): string {
  const fd = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  try {
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
  } finally {
    fs.closeSync(fd);
  }
}

function withoutRoot(file: string, root: string): string {
  return root !== '/' && file.startsWith(root) ? file.slice(root.length) || '/' : file;
}

function statOrNothing(file: string): Stat | undefined {
  const stat = fs.lstatSync(file, { throwIfNoEntry: false });
  if (stat === undefined) return undefined;
  const kind = stat.isFile()
    ? 'file'
    : stat.isDirectory()
      ? 'directory'
      : stat.isSymbolicLink()
        ? 'link'
        : 'other';
  return { kind, bytes: stat.size, mode: stat.mode & 0o7777, uid: stat.uid, gid: stat.gid };
}

function usageOf(file: string): Usage {
  const { type, bsize, blocks, bfree, files, ffree } = fs.statfsSync(file);
  return {
    type,
    sizeBytes: blocks * bsize,
    usedBytes: (blocks - bfree) * bsize,
    inodes: files,
    inodesUsed: files - ffree,
  };
}

/** The file never has a name: nothing is left behind, not even when the process is killed here. */
function tryWrite(folder: string): string {
  try {
    const fd = fs.openSync(folder, fs.constants.O_RDWR | O_TMPFILE, 0o600);
    try {
      fs.writeSync(fd, 'x');
    } finally {
      fs.closeSync(fd);
    }
    return 'OK';
  } catch (error) {
    return errorCode(error) || errorMessage(error);
  }
}

function writeAtomically(file: string, text: string, mode: number): void {
  fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o755 });
  const temporary = path.join(path.dirname(file), `.${path.basename(file)}.${process.pid}`);
  try {
    const fd = fs.openSync(
      temporary,
      fs.constants.O_WRONLY | fs.constants.O_CREAT | fs.constants.O_TRUNC | fs.constants.O_NOFOLLOW,
      mode,
    );
    try {
      fs.writeFileSync(fd, text);
      fs.fchmodSync(fd, mode);
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
    fs.renameSync(temporary, file);
  } catch (error) {
    fs.rmSync(temporary, { force: true });
    throw error;
  }
}
