import fs from 'node:fs';
import path from 'node:path';
import { HostError, errorCode, errorMessage } from '../lib/errors.ts';
import { lock } from './lock.ts';
import { type Ran, runProgram } from './exec.ts';
import type { TreeState } from './tree-state.ts';
import { type WalkedFile, lastChange, readTreeState, removeTree } from './tree.ts';

export type { Ran, TreeState, WalkedFile };

/**
 * What changes the system, for what `prepare` does. Whatever is named in the file system afterwards is on the disk,
 * too: a power cut leaves the old or the new. Every failure is a HostError with errno's name.
 */
export interface SystemWriter {
  /**
   * Puts a text in the place of a file, whole or not at all, with the owner and mode of what was there.
   * @param text one character a byte
   * @param mode of a file that was not there
   */
  replaceText(file: string, text: string, mode?: number): void;
  /** Puts a symbolic link in the place of a file or link, or where nothing is. */
  replaceByLink(file: string, to: string): void;
  /** Copies a file or link with its owner, mode and times to a place, whole or not at all. */
  copyInto(from: string, to: string): void;
  remove(file: string): void;
  rename(from: string, to: string): void;
  makeFolder(folder: string, mode: number): void;
  /**
   * Runs a program without a shell, at its end or after so many seconds; then it is ended.
   * @param output gets what it writes to stdout as it comes, one character a byte
   * @param stop ends it earlier
   */
  run(
    program: string,
    args: readonly string[],
    seconds: number,
    output?: (text: string) => void,
    stop?: AbortSignal,
  ): Promise<Ran>;
  /** Writes into a file or device, over what is there, and waits until it is on the disk. */
  writeAt(file: string, offset: number, text: string): void;
  /**
   * Nobody else has this lock until the returned function is called, or this process ends.
   * @throws HostError EEXIST naming the process that has it
   */
  lock(file: string): () => void;
  /** The state of every file below a folder (agent/system/tree.ts). @param pause is called at each file, and may throw */
  readTree(folder: string, pause: () => void): Promise<TreeState>;
  /**
   * Removes the files below a folder for which `isDispensable` is true, and the directories that are empty then.
   * @param kept gets the name of each one that stays, from the folder on, one character a byte
   */
  removeTree(
    folder: string,
    pause: () => void,
    isDispensable: (file: WalkedFile) => boolean,
    kept: (name: string) => void,
  ): Promise<void>;
  /**
   * When a file below a folder was last changed or, where it is gone, the nearest directory that it was in.
   * @param name from the folder on, one character a byte
   * @returns milliseconds since the epoch
   */
  lastChange(folder: string, name: string): number;
}

/** @param root where the system's root is; tests give a folder of fixtures */
export function systemWriter(root = '/'): SystemWriter {
  const at = (file: string) => (root === '/' ? file : path.join(root, file));
  return {
    replaceText: (file, text, mode = 0o644) => act(file, () => replaceText(at(file), text, mode)),
    replaceByLink: (file, to) =>
      act(file, () => replaceBy(at(file), (temporary) => fs.symlinkSync(to, temporary))),
    copyInto: (from, to) => act(to, () => replaceBy(at(to), (temporary) => copy(at(from), temporary))),
    remove: (file) =>
      act(file, () => {
        fs.unlinkSync(at(file));
        syncFolder(at(file));
      }),
    rename: (from, to) =>
      act(to, () => {
        syncFile(at(from));
        fs.renameSync(at(from), at(to));
        syncFolder(at(to));
      }),
    makeFolder: (folder, mode) => act(folder, () => void fs.mkdirSync(at(folder), { recursive: true, mode })),
    run: runProgram,
    writeAt: (file, offset, text) => act(file, () => writeAt(at(file), offset, text)),
    lock: (file) => act(file, () => lock(at(file), file)),
    readTree: (folder, pause) => actLater(folder, () => readTreeState(at(folder), pause)),
    removeTree: (folder, pause, isDispensable, kept) =>
      actLater(folder, () => removeTree(at(folder), pause, isDispensable, kept)),
    lastChange: (folder, name) => act(folder, () => lastChange(at(folder), name)),
  };
}

function act<T>(file: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw hostError(file, error);
  }
}

async function actLater<T>(file: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw hostError(file, error);
  }
}

function hostError(file: string, error: unknown): HostError {
  if (error instanceof HostError) return error;
  return new HostError(`${file}: ${errorMessage(error)}`, errorCode(error));
}

function replaceText(file: string, text: string, mode: number): void {
  const before = fs.lstatSync(file, { throwIfNoEntry: false });
  if (before !== undefined && !before.isFile()) throw new HostError(`${file}: no ordinary file`);
  replaceBy(file, (temporary) => {
    fs.writeFileSync(temporary, Buffer.from(text, 'latin1'), { flag: 'wx', mode: 0o600 });
    if (before !== undefined) fs.chownSync(temporary, before.uid, before.gid);
    fs.chmodSync(temporary, before === undefined ? mode : before.mode & 0o7777);
    syncFile(temporary);
  });
}

/** Something new beside it, then rename(2). */
function replaceBy(file: string, make: (temporary: string) => void): void {
  const temporary = path.join(path.dirname(file), `.${path.basename(file)}.immutafs`);
  // Left by a run that was interrupted.
  fs.rmSync(temporary, { force: true });
  try {
    make(temporary);
    fs.renameSync(temporary, file);
  } catch (error) {
    fs.rmSync(temporary, { force: true });
    throw error;
  }
  syncFolder(file);
}

function copy(from: string, to: string): void {
  const stat = fs.lstatSync(from);
  if (stat.isSymbolicLink()) {
    fs.symlinkSync(fs.readlinkSync(from), to);
    fs.lchownSync(to, stat.uid, stat.gid);
    return;
  }
  if (!stat.isFile()) throw new HostError(`${from}: neither a file nor a link`);
  fs.copyFileSync(from, to, fs.constants.COPYFILE_EXCL);
  fs.chownSync(to, stat.uid, stat.gid);
  fs.chmodSync(to, stat.mode & 0o7777);
  fs.utimesSync(to, stat.atime, stat.mtime);
  syncFile(to);
}

function syncFile(file: string): void {
  const fd = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW);
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

function writeAt(file: string, offset: number, text: string): void {
  const fd = fs.openSync(file, fs.constants.O_WRONLY | fs.constants.O_NOFOLLOW);
  try {
    fs.writeSync(fd, Buffer.from(text, 'latin1'), 0, text.length, offset);
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** So that the name outlives a power cut. */
function syncFolder(file: string): void {
  const fd = fs.openSync(path.dirname(file), fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}
