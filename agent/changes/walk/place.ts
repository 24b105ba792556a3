import type { Directory, Entry, OpenFile } from '../../system/layers/directory.ts';
import type { Xattrs } from '../../system/layers/xattrs.ts';
import type { OverlayMetadata } from './overlay-xattrs.ts';
import { SystemError } from '../../lib/errors.ts';

/** The open directories of a layer. */
export interface OpenLayer {
  /** The mount point. */
  target: string;
  upper: Directory;
  /** The directory of the sealed disk; undefined for a directory without counterpart, in which everything is new. */
  lower: Directory | undefined;
  /** Whether the overlay takes the content of a file with trusted.overlay.metacopy from the lower layer. */
  metacopy: boolean;
}

/** An open directory of the upper layer, with its counterpart. */
export interface Place {
  /** The path that the overlay shows; empty for a layer at "/". */
  path: string;
  /** The path relative to the upper layer; empty for the upper layer itself. */
  at: string;
  upper: Directory;
  lower: Directory | undefined;
  /** The path relative to the lower layer, which differs from `at` below a renamed directory. */
  lowerAt: string;
  /** Whether the overlay also shows the entries of the lower directory. */
  merged: boolean;
  /** Whether overlayfs recorded that the directory was copied up, so that it records this for files as well. */
  records: boolean;
  depth: number;
}

/** An entry of a directory of the upper layer, with its counterpart. */
export interface Seen {
  name: string;
  /** The path that the overlay shows. */
  path: string;
  upper: Entry;
  /** The entry of the same name in the lower directory; undefined if there is none, or a whiteout. */
  lower: Entry | undefined;
  xattrs: Xattrs;
  /** The attributes of `lower`; undefined without it and if it has another type. */
  lowerXattrs: Xattrs | undefined;
  metadata: OverlayMetadata;
}

/** Joins a relative path, which may be empty, and a name. */
export const below = (directory: string, name: string) => (directory === '' ? name : `${directory}/${name}`);

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
  return closing(openBelow(root, path.slice(0, end)), (directory) => action(directory, name));
}

/** Runs an action on a regular file below a directory. */
export function withFile<T>(
  root: Directory,
  path: string,
  action: (file: OpenFile) => T | Promise<T>,
): Promise<T> {
  return inParent(root, path, (directory, name) => closing(directory.file(name), action));
}

/** Runs an action on something that is open, and closes it. */
export async function closing<Open extends { close(): void }, T>(
  opened: Open,
  action: (opened: Open) => T | Promise<T>,
): Promise<T> {
  try {
    return await action(opened);
  } finally {
    opened.close();
  }
}
