import { SystemError } from '../../lib/errors.ts';
import type { Directory, OpenFile } from '../../system/layers/directory.ts';

/** Opens a directory below another one, component by component, so that no symbolic link is followed. */
export function openBelow(root: Directory, path: string): Directory {
  let current: Directory | undefined;
  for (const name of path.split('/')) {
    if (name === '' || name === '.' || name === '..')
      throw new SystemError(`${path}: not a path in the layer`);
    try {
      const next: Directory = (current ?? root).open(name);
      current?.close();
      current = next;
    } catch (error) {
      current?.close();
      throw error;
    }
  }
  return current ?? root;
}

/** Runs an action on the directory that contains a path, and on the last name of the path. */
export async function inParent<T>(
  root: Directory,
  path: string,
  action: (directory: Directory, name: string) => T | Promise<T>,
): Promise<T> {
  const end = path.lastIndexOf('/');
  const name = path.slice(end + 1);
  if (end === -1) return action(root, name);
  const directory = openBelow(root, path.slice(0, end));
  try {
    return await action(directory, name);
  } finally {
    directory.close();
  }
}

/** Runs an action on a regular file below a directory. */
export function withFile<T>(
  root: Directory,
  path: string,
  action: (file: OpenFile) => T | Promise<T>,
): Promise<T> {
  return inParent(root, path, async (directory, name) => {
    const file = directory.file(name);
    try {
      return await action(file);
    } finally {
      file.close();
    }
  });
}
