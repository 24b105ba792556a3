import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** A new folder; whoever uses it within `action` has it to himself, and it is gone afterwards. */
export function inTemporaryFolder<T>(action: (folder: string) => T): T {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'immutafs-test-'));
  try {
    return action(folder);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

/** The same for an action that takes its time: the folder is gone when that has ended. */
export async function whileTemporaryFolder<T>(action: (folder: string) => Promise<T>): Promise<T> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'immutafs-test-'));
  try {
    return await action(folder);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

/** Files by path below a folder: a text, or where a link points. */
export function writeFiles(folder: string, files: Record<string, string | { linkTo: string }>): void {
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(folder, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    if (typeof content === 'string') fs.writeFileSync(file, content, 'latin1');
    else fs.symlinkSync(content.linkTo, file);
  }
}
