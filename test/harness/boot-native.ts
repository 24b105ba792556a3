import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { run } from '../../boot/commands.ts';
import type { Native } from '../../boot/native/native.ts';
import { type BootReader, bootReader } from '../../boot/native/reader.ts';

export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
  /** The devices that were set read-only. */
  setReadOnly: string[];
}

/**
 * Runs a command of immutafs-boot in Node, on the files below a directory (makeSysfs).
 * @param replaced functions of the native part that the test replaces
 */
export function runBoot(root: string, args: readonly string[], replaced: Partial<Native> = {}): Ran {
  const ran: Ran = { code: 0, stdout: '', stderr: '', setReadOnly: [] };
  ran.code = run({ ...nativeAt(root, ran), arguments: args, ...replaced });
  return ran;
}

/** Returns a reader of the boot for the files below a directory. */
export function rootReader(root: string): BootReader {
  const ran = { code: 0, stdout: '', stderr: '', setReadOnly: [] };
  return bootReader({ ...nativeAt(root, ran), arguments: [] });
}

/** boot/native/native.c in Node. Every text has one character per byte (Latin-1), also that of a name. */
function nativeAt(root: string, ran: Ran): Omit<Native, 'arguments'> {
  const at = (file: string) => Buffer.from(path.join(root, file), 'latin1');
  return {
    read: (file, limit, offset) => readBytes(at(file), limit, offset),
    list: (directory) => fs.readdirSync(at(directory), 'latin1'),
    resolve: (file) => resolveBelow(root, at(file)),
    mode: (file) => fs.lstatSync(at(file), { throwIfNoEntry: false })?.mode,
    status: (file) => {
      const found = fs.statSync(at(file), { throwIfNoEntry: false });
      if (found === undefined) return undefined;
      // A fixture has files in place of devices.
      const isDevice = found.isFile() && resolveBelow(root, at(file)).startsWith('/dev/');
      return { mode: isDevice ? 0o060000 : found.mode, size: found.size };
    },
    makeDirectory: (directory) => fs.mkdirSync(at(directory), { recursive: true }),
    write: (file, text) => fs.writeFileSync(at(file), text, 'latin1'),
    link: (target, file) => {
      fs.rmSync(at(file), { force: true });
      fs.symlinkSync(target, at(file));
    },
    print: (fd, text) => {
      if (/[^\0-\xff]/.test(text)) throw new Error(`not bytes: ${text}`);
      ran[fd === 1 ? 'stdout' : 'stderr'] += text;
    },
    setReadOnly: (file) => ran.setReadOnly.push(file),
    mapped: () => [...tables(root).keys()],
    table: (major, minor) => {
      const target = tables(root).get(`${major}:${minor}`);
      if (target === undefined) throw new Error('no such device');
      return [target];
    },
    run: () => undefined,
    output: () => undefined,
    ...mountsAt(at),
    remove: (file) => fs.rmSync(at(file), { force: true }),
    sleep: () => undefined,
    ...directoriesAt(root),
    ...blocksAt(root),
    sha256: (text) => createHash('sha256').update(text, 'latin1').digest('hex'),
    overwrite: (file, text) => {
      const fd = fs.openSync(at(file), 'r+');
      fs.writeSync(fd, text, 0, 'latin1');
      fs.closeSync(fd);
    },
    unshareMounts: () => undefined,
    ignoreSignals: () => undefined,
    limit: () => undefined,
    exit: () => {
      throw new Error('a command does not end the program');
    },
  };
}

type Mounts = Pick<
  Native,
  | 'mountAt'
  | 'remount'
  | 'setOptions'
  | 'bindFile'
  | 'unmount'
  | 'links'
  | 'age'
  | 'append'
  | 'lock'
  | 'copyLabel'
>;

/** boot/native/mounts.h, as far as a command without root needs it. */
function mountsAt(at: (file: string) => Buffer): Mounts {
  const unavailable = () => {
    throw Object.assign(new Error('not in Node'), { code: 'EPERM' });
  };
  return {
    ...{ mountAt: unavailable, remount: unavailable, setOptions: unavailable, bindFile: unavailable },
    ...{ unmount: unavailable, copyLabel: unavailable, links: unavailable, lock: () => undefined },
    age: (file) => Math.floor((Date.now() - fs.lstatSync(at(file)).mtimeMs) / 1000),
    append: (file, text) => fs.appendFileSync(at(file), text, 'latin1'),
  };
}

type Directories = Pick<
  Native,
  | 'copyFile'
  | 'readAt'
  | 'listAt'
  | 'removeAt'
  | 'openAt'
  | 'close'
  | 'describe'
  | 'makeDirectoryAt'
  | 'setOwner'
  | 'attribute'
  | 'copyAttribute'
  | 'space'
  | 'bind'
  | 'detach'
  | 'rename'
  | 'sync'
  | 'supervise'
>;

/** boot/native/directories.h and boot/native/seed.h, as far as a command without root needs it. A descriptor is an index of the paths that were opened. */
function directoriesAt(root: string): Directories {
  const opened: string[] = [];
  const at = (directory: number, name: string) => path.join(root, opened[directory] ?? '', name);
  const unavailable = () => {
    throw new Error('not in Node');
  };
  return {
    openAt: (directory, name) => {
      if (!fs.lstatSync(at(directory, name)).isDirectory())
        throw Object.assign(new Error('Not a directory'), { code: 'ENOTDIR' });
      return opened.push(path.join(opened[directory] ?? '', name)) - 1;
    },
    close: () => undefined,
    describe: (directory, name) => {
      const found = fs.lstatSync(at(directory, name), { throwIfNoEntry: false });
      return found && [found.mode, found.uid, found.gid, found.dev, found.ino].join(' ');
    },
    makeDirectoryAt: (directory, name, mode) => fs.mkdirSync(at(directory, name), { mode }),
    copyFile: (from, name, to, newName, mode, most) => {
      const bytes = readRegular(at(from, name), most);
      fs.rmSync(at(to, newName), { force: true });
      fs.writeFileSync(at(to, newName), bytes, { mode, flag: 'wx' });
      return createHash('sha256').update(bytes).digest('hex');
    },
    readAt: (directory, name, most) => readRegular(at(directory, name), most).toString('latin1'),
    listAt: (directory) => fs.readdirSync(at(directory, ''), 'latin1'),
    removeAt: (directory, name) => fs.rmSync(at(directory, name), { force: true }),
    ...{ setOwner: unavailable, attribute: unavailable, copyAttribute: unavailable, space: unavailable },
    ...{ bind: unavailable, detach: unavailable, sync: unavailable },
    rename: (directory, from, to) => fs.renameSync(at(directory, from), at(directory, to)),
    supervise: unavailable,
  };
}

type Blocks = Pick<
  Native,
  | 'openBlock'
  | 'block'
  | 'readBlock'
  | 'contentIn'
  | 'writeBlock'
  | 'discardBlock'
  | 'pass'
  | 'random'
  | 'createMapping'
  | 'mapping'
  | 'removeMapping'
  | 'apart'
>;

/** boot/native/scratch.h, as far as a command without root needs it. A file of the fixture is in place of each device. */
function blocksAt(root: string): Blocks {
  const opened = new Map<number, string>();
  const unavailable = () => {
    throw new Error('not in Node');
  };
  return {
    openBlock: (file, writable) => {
      const descriptor = /^\/proc\/self\/fd\/(\d+)$/.exec(file)?.[1];
      const found =
        opened.get(Number(descriptor)) ?? resolveBelow(root, Buffer.from(path.join(root, file), 'latin1'));
      if (!found.startsWith('/dev/'))
        throw Object.assign(new Error('Block device required'), { code: 'ENOTBLK' });
      const fd = fs.openSync(path.join(root, found), writable ? 'r+' : 'r');
      opened.set(fd, found);
      return fd;
    },
    block: (file) => {
      const directory = path.join(root, 'sys/class/block', path.basename(opened.get(file) ?? ''));
      const [number, readOnly] = ['dev', 'ro'].map((name) =>
        fs.readFileSync(path.join(directory, name), 'latin1').trim(),
      );
      return `${number} ${fs.fstatSync(file).size} ${readOnly}`;
    },
    readBlock: (file, from, size) => {
      const buffer = Buffer.alloc(size);
      fs.readSync(file, buffer, 0, size, from);
      return buffer.toString('latin1');
    },
    contentIn: (file, from, to) => {
      const buffer = Buffer.alloc(to - from);
      fs.readSync(file, buffer, 0, to - from, from);
      if (buffer.equals(Buffer.alloc(to - from))) return -1;
      const index = buffer.findIndex((byte) => byte !== 0);
      return from + index;
    },
    writeBlock: (file, from, text, size) => {
      const buffer = Buffer.alloc(size);
      buffer.write(text, 'latin1');
      fs.writeSync(file, buffer, 0, size, from);
    },
    ...{ discardBlock: unavailable, pass: unavailable, random: unavailable, createMapping: unavailable },
    ...{ mapping: () => undefined, removeMapping: unavailable },
    apart: unavailable,
  };
}

function readRegular(file: string, most: number): Buffer {
  const found = fs.lstatSync(file);
  if (!found.isFile()) throw Object.assign(new Error('Exec format error'), { code: 'ENOEXEC' });
  if (found.size > most) throw Object.assign(new Error('File too large'), { code: 'EFBIG' });
  return fs.readFileSync(file);
}

function readBytes(file: Buffer, limit: number, offset = 0): string {
  const fd = fs.openSync(file, 'r');
  try {
    const buffer = Buffer.alloc(limit);
    return buffer.toString('latin1', 0, fs.readSync(fd, buffer, 0, limit, offset));
  } finally {
    fs.closeSync(fd);
  }
}

function resolveBelow(root: string, file: Buffer): string {
  const resolved = fs.realpathSync.native(file, 'latin1');
  const below = fs.realpathSync.native(root, 'latin1');
  // An absolute link of a fixture, such as one to /dev/null.
  return resolved.startsWith(below) ? resolved.slice(below.length) || '/' : resolved;
}

/** The targets that makeSysfs has written for boot-program-main.ts, by device. */
function tables(root: string): Map<string, string> {
  const lines = fs.readFileSync(path.join(root, 'usr/libexec/immutafs/device-tables'), 'latin1').split('\n');
  return new Map(lines.filter((line) => line !== '').map((line) => line.split(' ') as [string, string]));
}
