import fs from 'node:fs';
import path from 'node:path';
import { SystemError, onFile, onFileLater } from '../lib/errors.ts';
import { type Ran, runProgram } from './exec.ts';
import { lock } from './lock.ts';
import { copyAttributes, copyFile, labelNewFile } from './attributes.ts';
import { syncDirectory, syncFile } from './files.ts';
import { replaceFile, replaceFileLater, writeNewFile } from './replace-file.ts';
import { type TreeState, readTreeState, removeTree } from './tree.ts';

export type { Ran, TreeState };

/**
 * Every change of the system goes through this interface. When a method returns, its change is on the disk. After a
 * power failure, the disk contains either the old or the new state. Every failure is a SystemError with the error code.
 */
export type SystemWriter = ReturnType<typeof systemWriter>;

/**
 * @param root the root of the system; tests use a directory with fixtures instead
 * @param isLabelled whether new files get the SELinux label of the policy, which only a running system has
 */
export function systemWriter(root = '/', isLabelled = true) {
  const at = (file: string) => (root === '/' ? file : path.join(root, file));
  const replace = (file: string, create: (temporary: string, existing: string) => void) =>
    onFile(file, () => replaceFile(at(file), 'fixed', create));
  // The policy knows only the paths of this system.
  const label = (file: string) => {
    if (root === '/' && isLabelled) onFile(file, () => labelNewFile(file));
  };
  return {
    /**
     * Creates a file or replaces an existing file or link atomically. Safe in a directory of another user.
     * @param text written as UTF-8
     */
    writeAtomically: (file: string, text: string, mode: number): void =>
      onFile(file, () =>
        replaceFile(at(file), 'random', (temporary) => writeNewFile(temporary, Buffer.from(text), mode)),
      ),
    /** Like `writeAtomically`, without blocking this process while the disk is slow or hangs. */
    writeAtomicallyLater: (file: string, text: string, mode: number): Promise<void> =>
      onFileLater(file, () => replaceFileLater(at(file), Buffer.from(text), mode)),
    /**
     * Creates or atomically replaces a regular file, and keeps its owner, mode, ACLs, extended attributes and SELinux
     * label. A new file gets the label of the policy. Only for a process that holds a lock.
     * @param text one character per byte (latin1)
     * @param mode the mode if the file does not exist
     */
    replaceText: (file: string, text: string, mode = 0o644): void => {
      const stat = onFile(file, () => fs.lstatSync(at(file), { throwIfNoEntry: false }));
      if (stat !== undefined && !stat.isFile()) throw new SystemError(`${file}: not a regular file`);
      replace(file, (temporary, existing) => {
        writeNewFile(temporary, Buffer.from(text, 'latin1'), stat === undefined ? mode : 0o600);
        if (stat !== undefined) copyAttributes(existing, temporary);
      });
      if (stat === undefined) label(file);
    },
    /**
     * Creates a symbolic link, with the SELinux label of the policy, or atomically replaces a file or link by it. Only
     * for a process that holds a lock.
     */
    replaceByLink: (file: string, to: string): void => {
      replace(file, (temporary) => fs.symlinkSync(to, temporary));
      label(file);
    },
    /**
     * Copies a file or link with its attributes (owner, mode, times, ACLs, extended attributes and SELinux label), and
     * atomically replaces the destination by the copy. Only for a process that holds a lock.
     */
    copyInto: (from: string, to: string): void => replace(to, (temporary) => copyFile(at(from), temporary)),
    /** Gives a file that a program created the SELinux label of the policy. */
    labelNewFile: label,
    remove: (file: string): void =>
      onFile(file, () => {
        fs.unlinkSync(at(file));
        syncDirectory(path.dirname(at(file)));
      }),
    /** Renames a file, and gives it the SELinux label that the policy has for its new path. */
    rename: (from: string, to: string): void =>
      onFile(to, () => {
        syncFile(at(from));
        fs.renameSync(at(from), at(to));
        label(to);
        syncDirectory(path.dirname(at(to)));
      }),
    /** mkdir(1) -p */
    makeDirectory: (directory: string, mode: number): void =>
      onFile(directory, () => void fs.mkdirSync(at(directory), { recursive: true, mode })),
    run: runProgram,
    lock: (file: string): (() => void) => onFile(file, () => lock(at(file), file)),
    /** Reads the state of every file below a directory (tree.ts). */
    readTree: (directory: string, pause: () => void): Promise<TreeState> =>
      onFileLater(directory, () => readTreeState(at(directory), pause)),
    /** Removes everything below a directory (tree.ts). */
    removeTree: (directory: string, pause: () => void): Promise<string[]> =>
      onFileLater(directory, () => removeTree(at(directory), pause)),
  };
}
