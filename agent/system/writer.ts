import fs from 'node:fs';
import path from 'node:path';
import { HostError, onFile, onFileLater } from '../lib/errors.ts';
import { type Ran, runProgram } from './exec.ts';
import { lock } from './lock.ts';
import { attributesOf, replaceFile, syncFolder, writeNewFile } from './replace-file.ts';
import type { TreeState } from './tree-state.ts';
import { type WalkedFile, lastChange, readTreeState, removeTree } from './tree.ts';

export type { Ran, TreeState, WalkedFile };

/**
 * Every change of the system. What a method has changed is on the disk when it returns: after a power cut there is the
 * old or the new. Every failure is a HostError with errno's name.
 */
export interface SystemWriter {
  /**
   * Replaces whatever has this name by a file, whole or not at all. Safe in a folder of another user.
   * @param text written as UTF-8
   */
  writeAtomically(file: string, text: string, mode: number): void;
  /**
   * Replaces a regular file, whole or not at all, and keeps its owner and mode. Only for a process that has a lock.
   * @param text one character a byte
   * @param mode of the file if there was none
   */
  replaceText(file: string, text: string, mode?: number): void;
  /** Replaces a file or link by a symbolic link, or makes one. Only for a process that has a lock. */
  replaceByLink(file: string, to: string): void;
  /**
   * Replaces a file or link by a copy of another one with its owner, mode and times, whole or not at all. Only for a
   * process that has a lock.
   */
  copyInto(from: string, to: string): void;
  remove(file: string): void;
  rename(from: string, to: string): void;
  /** mkdir(1) -p */
  makeFolder(folder: string, mode: number): void;
  /**
   * Runs a program without a shell and waits for its end.
   * @param seconds the time limit; then the program is ended
   * @param output receives stdout as it arrives, one character a byte
   * @param stop ends the program earlier
   */
  run(
    program: string,
    args: readonly string[],
    seconds: number,
    output?: (text: string) => void,
    stop?: AbortSignal,
  ): Promise<Ran>;
  /** Overwrites bytes of a file or device, and waits until they are on the disk. @param text one character a byte */
  writeAt(file: string, offset: number, text: string): void;
  /**
   * Takes a lock that ends when the returned function is called or this process ends.
   * @throws HostError EEXIST naming the process that has the lock
   */
  lock(file: string): () => void;
  /** Reads the state of every file below a folder (tree.ts). @param pause called at each file; may throw */
  readTree(folder: string, pause: () => void): Promise<TreeState>;
  /**
   * Removes the files below a folder for which `isDispensable` is true, then the empty directories among them.
   * @param kept receives the name of each file that stays, relative to the folder, one character a byte
   */
  removeTree(
    folder: string,
    pause: () => void,
    isDispensable: (file: WalkedFile) => boolean,
    kept: (name: string) => void,
  ): Promise<void>;
  /**
   * The time of the last change of a file below a folder or, if the file is gone, of its nearest directory that exists.
   * @param name relative to the folder, one character a byte
   * @returns milliseconds since the epoch
   */
  lastChange(folder: string, name: string): number;
}

/** @param root the system's root; tests give a folder of fixtures */
export function systemWriter(root = '/'): SystemWriter {
  const at = (file: string) => (root === '/' ? file : path.join(root, file));
  const replace = (file: string, create: (temporary: string) => void) =>
    onFile(file, () => replaceFile(at(file), 'fixed', create));
  return {
    writeAtomically: (file, text, mode) =>
      onFile(file, () =>
        replaceFile(at(file), 'random', (temporary) => writeNewFile(temporary, Buffer.from(text), { mode })),
      ),
    replaceText: (file, text, mode = 0o644) => {
      const attributes = onFile(file, () => attributesOf(at(file), file)) ?? { mode };
      replace(file, (temporary) => writeNewFile(temporary, Buffer.from(text, 'latin1'), attributes));
    },
    replaceByLink: (file, to) => replace(file, (temporary) => fs.symlinkSync(to, temporary)),
    copyInto: (from, to) => replace(to, (temporary) => copy(at(from), temporary)),
    remove: (file) =>
      onFile(file, () => {
        fs.unlinkSync(at(file));
        syncFolder(path.dirname(at(file)));
      }),
    rename: (from, to) =>
      onFile(to, () => {
        syncFile(at(from));
        fs.renameSync(at(from), at(to));
        syncFolder(path.dirname(at(to)));
      }),
    makeFolder: (folder, mode) =>
      onFile(folder, () => void fs.mkdirSync(at(folder), { recursive: true, mode })),
    run: runProgram,
    writeAt: (file, offset, text) => onFile(file, () => writeAt(at(file), offset, text)),
    lock: (file) => onFile(file, () => lock(at(file), file)),
    readTree: (folder, pause) => onFileLater(folder, () => readTreeState(at(folder), pause)),
    removeTree: (folder, pause, isDispensable, kept) =>
      onFileLater(folder, () => removeTree(at(folder), pause, isDispensable, kept)),
    lastChange: (folder, name) => onFile(folder, () => lastChange(at(folder), name)),
  };
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
