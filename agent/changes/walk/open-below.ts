import { HostError } from '../../lib/errors.ts';
import type { Folder, OpenFile } from '../../system/layers/folder.ts';

/** Opens a folder below another one, component by component, so that no symbolic link is followed. */
export function openBelow(root: Folder, path: string): Folder {
  let current: Folder | undefined;
  for (const name of path.split('/')) {
    if (name === '' || name === '.' || name === '..') throw new HostError(`${path}: not a path in the layer`);
    try {
      const next: Folder = (current ?? root).open(name);
      current?.close();
      current = next;
    } catch (error) {
      current?.close();
      throw error;
    }
  }
  return current ?? root;
}

/** Runs an action on the folder that contains a path, and on the last name of the path. */
export async function inParent<T>(
  root: Folder,
  path: string,
  action: (folder: Folder, name: string) => T | Promise<T>,
): Promise<T> {
  const end = path.lastIndexOf('/');
  const name = path.slice(end + 1);
  if (end === -1) return action(root, name);
  const folder = openBelow(root, path.slice(0, end));
  try {
    return await action(folder, name);
  } finally {
    folder.close();
  }
}

/** Runs an action on a regular file below a folder. */
export function withFile<T>(
  root: Folder,
  path: string,
  action: (file: OpenFile) => T | Promise<T>,
): Promise<T> {
  return inParent(root, path, async (folder, name) => {
    const file = folder.file(name);
    try {
      return await action(file);
    } finally {
      file.close();
    }
  });
}
