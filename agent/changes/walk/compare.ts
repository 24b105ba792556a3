import { haveSameBytes } from '../../system/layers/content.ts';
import type { Entry, Directory } from '../../system/layers/directory.ts';
import type { Xattrs } from '../../system/layers/xattrs.ts';
import type { Aspect, Change, State } from '../change.ts';
import { isOverlayXattr } from './overlay-xattrs.ts';

/** Whether an entry of a layer is a whiteout, a character device 0:0 (overlayfs.rst). */
export function isWhiteoutDevice(entry: Pick<Entry, 'type' | 'device'>): boolean {
  return entry.type === 'char' && entry.device === '0:0';
}

/**
 * Compares the metadata of a file in the upper layer with those of the file of the same type in the lower layer. The mtime
 * and the size of a directory are not compared, because they change whenever an entry is created or removed, which is a
 * change of that entry. The number of hard links is not compared, because a copy-up breaks hard links.
 */
export function compareMetadata(
  [upper, own]: readonly [Entry, Xattrs],
  [lower, other]: readonly [Entry, Xattrs],
): Required<Pick<Change, 'what' | 'xattrs'>> {
  const xattrs = compareXattrs(own, other);
  const what: Aspect[] = [
    ...(upper.mode === lower.mode ? [] : ['mode' as const]),
    ...(upper.uid === lower.uid && upper.gid === lower.gid ? [] : ['owner' as const]),
    ...(upper.type === 'directory' || upper.mtime === lower.mtime ? [] : ['mtime' as const]),
    ...(xattrs.length === 0 ? [] : ['xattr' as const]),
  ];
  return { what, xattrs };
}

/** Returns the names of the attributes that differ, sorted; without the metadata of overlayfs. */
export function compareXattrs(upper: Xattrs, lower: Xattrs): string[] {
  const names = new Set([...upper.keys(), ...lower.keys()]);
  return [...names].filter((name) => !isOverlayXattr(name) && upper.get(name) !== lower.get(name)).sort();
}

/** A file in its open directory. */
export interface Located {
  directory: Directory;
  name: string;
  entry: Entry;
}

/**
 * Whether two files of the same type have the same content: the target of a symbolic link, the number of a device, the
 * bytes of a file. Files of the same size are always compared byte by byte, because root can set any mtime.
 * @param metacopy whether the upper file has no content of its own
 * @throws SystemError
 */
export async function haveSameContent(upper: Located, lower: Located, metacopy: boolean): Promise<boolean> {
  const { type } = upper.entry;
  if (type === 'symlink') return upper.directory.link(upper.name) === lower.directory.link(lower.name);
  if (type !== 'file') return upper.entry.device === lower.entry.device;
  if (upper.entry.size !== lower.entry.size) return false;
  return metacopy || sameBytes(upper, lower);
}

async function sameBytes(upper: Located, lower: Located): Promise<boolean> {
  const mine = upper.directory.file(upper.name);
  try {
    const other = lower.directory.file(lower.name);
    try {
      return await haveSameBytes(mine, other);
    } finally {
      other.close();
    }
  } finally {
    mine.close();
  }
}

export function stateOf(entry: Entry): State {
  const { type, mode, uid, gid, size, mtime, ctime, inode, device, sparse } = entry;
  return { type, mode, uid, gid, size, mtime, ctime, inode, device, sparse };
}
