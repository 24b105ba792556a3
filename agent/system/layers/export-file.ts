import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { SystemError, errorCode, hasCode, onFile, onFileLater, unless } from '../../lib/errors.ts';
import { inDirectory, randomWord } from '../foreign-directory.ts';

export interface ExportTarget {
  /** Writes bytes, and waits while a pipe is full. @throws SystemError, including if the reader has closed the pipe */
  write(bytes: Buffer): Promise<void>;
  /** Completes the file: only then it has its name. */
  finish(): void;
  /** Removes the incomplete file. */
  abandon(): void;
}

/** The types of file systems whose content is in RAM, or is a layer (statfs(2)). */
const inMemory = new Map([
  [0x01021994, 'tmpfs'],
  [0x858458f6, 'ramfs'],
  [0x794c7630, 'an overlay'],
]);

/**
 * Creates a file of mode 0600 for an export. It has another name until it is complete. On a file system without hard
 * links (vfat, exFAT, some CIFS), an empty file reserves the name.
 * @throws SystemError EEXIST if a file of this name exists; EXDEV if the directory is in a layer or in RAM, because the export
 *     would change what it exports, and would not survive a reboot; the system's error otherwise
 */
export function createExportFile(file: string): ExportTarget {
  return onFile(file, () => inDirectory(path.dirname(file), (at) => createIn(at, file)));
}

function createIn(at: (name: string) => string, file: string): ExportTarget {
  const found = inMemory.get(fs.statfsSync(at('.')).type >>> 0);
  if (found !== undefined)
    throw new SystemError(
      `${file}: is on ${found}, whose content is lost at a reboot: name a file on a disk, or - for the standard output`,
      'EXDEV',
    );
  const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_DIRECTORY } = fs.constants;
  const name = path.basename(file);
  if (fs.lstatSync(at(name), { throwIfNoEntry: false }) !== undefined)
    throw new SystemError(`${file}: exists already and is not overwritten`, 'EEXIST');
  const directory = fs.openSync(at('.'), O_RDONLY | O_DIRECTORY);
  const inside = (each: string) => `/proc/self/fd/${directory}/${each}`;
  const create = (each: string) => fs.openSync(inside(each), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  const temporary = `.${name}.${randomWord()}`;
  const opened = [directory];
  const close = () => opened.splice(0).forEach((each) => fs.closeSync(each));
  const closeFile = () => opened.splice(1).forEach((each) => fs.closeSync(each));
  const remove = () => fs.rmSync(inside(temporary), { force: true });
  try {
    const fd = create(temporary);
    opened.push(fd);
    const naming = namingIn(inside, create, temporary, name);
    return {
      write: (bytes) => onFileLater(file, () => writeAll(fd, bytes)),
      finish: () =>
        onFile(file, () => {
          fs.fsyncSync(fd);
          // Some servers do not rename an open file.
          closeFile();
          naming.finish();
          syncDirectory(directory);
          close();
        }),
      abandon: () => {
        remove();
        naming.abandon();
        close();
      },
    };
  } catch (error) {
    remove();
    close();
    throw error;
  }
}

/** Synchronises the names in a directory, unless its file system cannot do so (EINVAL, fsync(2)). */
function syncDirectory(directory: number): void {
  unless(hasCode('EINVAL'), () => fs.fsyncSync(directory));
}

export function standardOutput(): ExportTarget {
  return {
    write: (bytes) => onFileLater('standard output', () => writeAll(1, bytes)),
    finish: () => undefined,
    abandon: () => undefined,
  };
}

/** The time until a full pipe is tried again, in milliseconds. */
const pause = 5;

async function writeAll(fd: number, bytes: Buffer): Promise<void> {
  let rest = bytes;
  while (rest.length > 0) {
    try {
      rest = rest.subarray(fs.writeSync(fd, rest));
    } catch (error) {
      // Another process made the pipe non-blocking, and it is full.
      if (errorCode(error) !== 'EAGAIN') throw error;
      await wait(pause);
    }
  }
}

/**
 * Returns `finish`, which gives the complete file its name without replacing a file that was created meanwhile, and
 * `abandon`, which removes what was created. Decides before anything is written how the file gets its name: by link(2),
 * which does not replace a file, unlike rename(2). On a file system without hard links (vfat, exFAT, some CIFS), an empty file reserves the name.
 */
function namingIn(
  inside: (name: string) => string,
  create: (name: string) => number,
  temporary: string,
  name: string,
): Pick<ExportTarget, 'finish' | 'abandon'> {
  const [from, to] = [inside(temporary), inside(name)];
  if (hasHardLinks(from)) {
    return {
      finish: () => {
        fs.linkSync(from, to);
        fs.unlinkSync(from);
      },
      abandon: () => undefined,
    };
  }
  fs.closeSync(create(name));
  const isReserved = () => {
    const stat = fs.lstatSync(to, { throwIfNoEntry: false });
    return stat === undefined || (stat.isFile() && stat.size === 0);
  };
  return {
    finish: () => {
      if (!isReserved())
        throw new SystemError(`${name}: another file was created with this name meanwhile`, 'EEXIST');
      replaceReserved(from, to);
    },
    abandon: () => {
      if (isReserved()) fs.rmSync(to, { force: true });
    },
  };
}

function hasHardLinks(file: string): boolean {
  const second = `${file}.link`;
  try {
    fs.linkSync(file, second);
  } catch {
    return false;
  }
  fs.unlinkSync(second);
  return true;
}

/** Some servers and FUSE file systems do not replace a file in rename(2). */
function replaceReserved(from: string, to: string): void {
  try {
    fs.renameSync(from, to);
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
    fs.unlinkSync(to);
    fs.renameSync(from, to);
  }
}
