import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** Calls `action` with a new folder and removes the folder afterwards. */
export function inTemporaryFolder<T>(action: (folder: string) => T): T {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'immutafs-test-'));
  try {
    return action(folder);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

/** Calls an asynchronous action with a new folder, and removes the folder when the action has ended. */
export async function whileTemporaryFolder<T>(action: (folder: string) => Promise<T>): Promise<T> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'immutafs-test-'));
  try {
    return await action(folder);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

/** Creates files below a folder. @param files by path: the text of a file, or the target of a symbolic link */
export function writeFiles(folder: string, files: Record<string, string | { linkTo: string }>): void {
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(folder, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    if (typeof content === 'string') fs.writeFileSync(file, content, 'latin1');
    else fs.symlinkSync(content.linkTo, file);
  }
}
