import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { Test } from 'uvu';

/** Calls `action` with a new directory and removes the directory afterwards. */
export function inTemporaryDirectory<T>(action: (directory: string) => T, parent = os.tmpdir()): T {
  const directory = fs.mkdtempSync(path.join(parent, 'immutafs-test-'));
  try {
    return action(directory);
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
}

/** Calls an asynchronous action with a new directory, and removes the directory when the action has ended. */
export async function whileTemporaryDirectory<T>(
  action: (directory: string) => Promise<T> | T,
  parent = os.tmpdir(),
): Promise<T> {
  const directory = fs.mkdtempSync(path.join(parent, 'immutafs-test-'));
  try {
    return await action(directory);
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
}

/** Returns a function that adds a test to a suite. The test receives a new directory, which is removed afterwards. */
export function inDirectories(tests: Test) {
  return (title: string, test: (directory: string) => Promise<void> | void): void =>
    tests(title, () => whileTemporaryDirectory(test));
}

/** Creates files below a directory. @param files by path: the text of a file, or the target of a symbolic link */
export function writeFiles(directory: string, files: Record<string, string | { linkTo: string }>): void {
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(directory, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    if (typeof content === 'string') fs.writeFileSync(file, content, 'latin1');
    else fs.symlinkSync(content.linkTo, file);
  }
}
