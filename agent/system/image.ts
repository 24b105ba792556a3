import path from 'node:path';
import { SystemError, unless } from '../lib/errors.ts';
import { decodeBytes } from '../lib/format.ts';
import type { Ended, SystemReader } from './reader.ts';
import { readXattrsProgram } from './layers/xattrs.ts';
import type { SystemWriter } from './writer.ts';

/**
 * A reader of an image refused what only a running guest has. In a chroot, these files and programs show the machine that
 * builds the image.
 */
export class ImageRefusal extends SystemError {
  /** What was refused, in the words of a message (ImagePart). */
  readonly shown: string;

  constructor(what: string, shown: string) {
    super(`${what}: shows the machine that builds the image, not a guest that is started from it`, 'EIMAGE');
    this.shown = shown;
  }
}

/** The programs that read nothing but the files that they are given, or the package database. */
const programs: readonly string[] = ['/usr/bin/find', '/usr/bin/lsinitrd', '/usr/bin/rpm'];
const programsOfFind: readonly string[] = ['/usr/bin/stat', readXattrsProgram];
/** The kernel's limit for the number of symbolic links in a path (path_resolution(7)). */
const mostLinks = 40;

/**
 * Returns a reader for the files of an image, in a chroot. Only what is known to belong to the image is permitted:
 * every path at or below /proc, /sys, /dev and /run, also one to which a symbolic link leads, every program but a few,
 * and the properties of the running kernel are refused, and recorded (ImagePart).
 */
export function imageReader(system: SystemReader): SystemReader {
  const notes = new Set<string>();
  const refusal = (what: string, shown: string) => {
    notes.add(shown);
    return new ImageRefusal(what, shown);
  };
  const refuse = (what: string, shown: string): never => {
    throw refusal(what, shown);
  };
  const at = (file: string, followLast = true): string => {
    const refused = refusedOn(system, file, followLast);
    return refused === undefined ? file : refuse(file, nameOf(refused));
  };
  const processes = () => refuse('/proc', 'running processes');
  return {
    read: (file, limit) => system.read(at(file), limit),
    readIfPresent: (file, limit) => system.readIfPresent(at(file), limit),
    readRecord: (file, owner, limit) => system.readRecord(at(file), owner, limit),
    readAt: (file, offset, bytes) => system.readAt(at(file), offset, bytes),
    pieces: (file) => system.pieces(at(file)),
    list: (directory) => system.list(at(directory)),
    listBytes: (directory) => {
      at(decodeBytes(directory));
      return system.listBytes(directory);
    },
    hasEntries: (directory) => system.hasEntries(at(directory)),
    link: (file) => system.link(at(file, false)),
    resolve: (file) => system.resolve(at(file)),
    stat: (file) => system.stat(at(file, false)),
    statBytes: (file) => {
      at(decodeBytes(file), false);
      return system.statBytes(file);
    },
    usage: (file) => system.usage(at(file)),
    now: () => system.now(),
    run: async (program, args, milliseconds, output): Promise<Ended> => {
      const isPermitted = programs.includes(program) && (program !== programs[0] || isGoodSearch(args, at));
      if (!isPermitted) refuse(program, `the result of ${path.basename(program)}`);
      return system.run(program, args, milliseconds, output);
    },
    tryWrites: () => Promise.reject(refusal('a trial write', 'whether the disk can be written')),
    probe: () => Promise.reject(refusal('a probe', 'whether the mount options take effect')),
    kernelLog: () => refuse('/dev/kmsg', 'the kernel log'),
    deviceTables: () => refuse('the tables of device-mapper', 'the devices'),
    get processes() {
      return processes();
    },
    environment: () => ({
      uid: system.environment().uid,
      get hostname() {
        return refuse('the host name', 'the host name');
      },
      get kernel() {
        return refuse('the release of the running kernel', 'the running kernel');
      },
      get seconds() {
        return refuse('the time since the boot', 'changes since the boot');
      },
    }),
    image: {
      note: (what) => void notes.add(what),
      takeNotes: () => {
        const taken = [...notes];
        notes.clear();
        return taken;
      },
    },
  };
}

/** Calls `read`. @returns undefined if a reader of an image refuses it; the engine reports this */
export const unlessRefused = <T>(read: () => T): T | undefined =>
  unless((error) => error instanceof ImageRefusal, read);

/** Like unlessRefused, for an asynchronous action. */
export async function unlessRefusedLater<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof ImageRefusal) return undefined;
    throw error;
  }
}

/**
 * Follows a path as the kernel does, without entering a refused directory.
 * @returns the refused path to which it leads; undefined if it is permitted
 */
function refusedOn(system: SystemReader, file: string, followLast: boolean): string | undefined {
  const remaining = file.split('/');
  let current = '/';
  for (let links = 0, name = remaining.shift(); name !== undefined; name = remaining.shift()) {
    if (name === '' || name === '.') continue;
    const next = path.join(current, name);
    if (isRefused(next)) return path.join(next, ...remaining);
    const isLink = (remaining.length > 0 || followLast) && system.stat(next)?.kind === 'link';
    if (!isLink || ++links > mostLinks) {
      current = next;
      continue;
    }
    const to = system.link(next);
    remaining.unshift(...to.split('/'));
    if (to.startsWith('/')) current = '/';
  }
  return undefined;
}

function isRefused(file: string): boolean {
  return /^\/(proc|sys|dev|run)(\/|$)/.test(file);
}

/** Names what a refused file would show, as a part of a sentence. */
function nameOf(file: string): string {
  if (/^\/proc\/(\d+|self)(\/|$)/.test(file)) return 'running processes';
  if (file === '/proc/meminfo') return 'the memory of the guest';
  if (file === '/proc/swaps' || /^\/(dev|sys\/(block|class\/block|dev))(\/|$)/.test(file))
    return 'the devices';
  if (file.startsWith('/sys/firmware')) return 'the firmware';
  return file.startsWith('/run') ? 'files below /run' : 'the running kernel';
}

/** Whether find(1) stays on the file systems on which it begins (-xdev), and starts no unknown program. */
function isGoodSearch(args: readonly string[], at: (file: string) => string): boolean {
  const begin = args.findIndex((word) => word.startsWith('-'));
  for (const root of args.slice(0, begin === -1 ? undefined : begin)) at(root);
  const started = args.flatMap((word, index) => (word.startsWith('-exec') ? [args[index + 1] ?? ''] : []));
  return args.includes('-xdev') && started.every((program) => programsOfFind.includes(program));
}

/** The programs that change only the files of an image. */
const changingPrograms: readonly string[] = ['/usr/bin/dracut', '/bin/chgrp', '/bin/chmod'];

/** Returns a writer for the files of an image, in a chroot. It refuses every program but a few. */
export function imageWriter(writer: SystemWriter): SystemWriter {
  return {
    ...writer,
    run: async (program, ...rest) => {
      if (!changingPrograms.includes(program))
        throw new ImageRefusal(program, `the result of ${path.basename(program)}`);
      return writer.run(program, ...rest);
    },
  };
}
