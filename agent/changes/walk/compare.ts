import { haveSameBytes } from '../../system/layers/content.ts';
import type { Directory, Entry } from '../../system/layers/directory.ts';
import type { XattrReader, Xattrs } from '../../system/layers/xattrs.ts';
import type { Aspect, Change, Kind } from '../change.ts';
import { isOverlayXattr, overlayMetadata } from './overlay-xattrs.ts';
import { SystemError, unlessAbsent } from '../../lib/errors.ts';
import { type OpenLayer, type Place, type Seen, below, inParent, openBelow, withFile } from './place.ts';
import type { Source, Target } from './renames.ts';

/** Whether an entry of a layer is a whiteout, a character device 0:0 (overlayfs.rst). */
export function isWhiteoutDevice(entry: Pick<Entry, 'type' | 'device'>): boolean {
  return entry.type === 'char' && entry.device === '0:0';
}

/**
 * Compares the metadata of a file in the upper layer with those of the file of the same type in the lower layer. The
 * mtime and the size of a directory are not compared, because they change whenever an entry is created or removed,
 * which is a change of that entry. The number of hard links is not compared, because a copy-up breaks hard links.
 */
function compareMetadata(
  { entry: upper, xattrs: own }: Pick<Located, 'entry' | 'xattrs'>,
  { entry: lower, xattrs: other }: Pick<Located, 'entry' | 'xattrs'>,
): Pick<Change, 'what' | 'xattrs'> {
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
function compareXattrs(upper: Xattrs, lower: Xattrs): string[] {
  const names = new Set([...upper.keys(), ...lower.keys()]);
  return [...names].filter((name) => !isOverlayXattr(name) && upper.get(name) !== lower.get(name)).sort();
}

/** A file in its open directory. */
interface Located {
  directory: Directory;
  name: string;
  entry: Entry;
  xattrs: Xattrs;
}

/**
 * Whether two files of the same type have the same content: the target of a symbolic link, the number of a device, the
 * bytes of a file. Files of the same size are always compared byte by byte, because root can set any mtime.
 * @param metacopy whether the upper file has no content of its own
 * @throws SystemError
 */
async function haveSameContent(upper: Located, lower: Located, metacopy: boolean): Promise<boolean> {
  const { type } = upper.entry;
  if (type === 'symlink') return upper.directory.link(upper.name) === lower.directory.link(lower.name);
  if (type !== 'file') return upper.entry.device === lower.entry.device;
  if (upper.entry.size !== lower.entry.size) return false;
  if (metacopy) return true;
  return withFile(upper.directory, upper.name, (mine) =>
    withFile(lower.directory, lower.name, (other) => haveSameBytes(mine, other)),
  );
}

/** Compares content and metadata. @param metacopy whether the upper file has no content of its own @throws SystemError */
async function compare(
  upper: Located,
  lower: Located,
  metacopy: boolean,
): Promise<Pick<Change, 'what' | 'xattrs'>> {
  const same = await haveSameContent(upper, lower, metacopy);
  const { what, xattrs } = compareMetadata(upper, lower);
  return { what: [...(same ? [] : ['content' as const]), ...what], xattrs };
}

/** The directory of the sealed disk that a directory of the upper layer shows or hides. */
interface Counterpart {
  lower: Directory | undefined;
  lowerAt: string;
  /** Whether the overlay also shows the entries of the lower directory. */
  merged: boolean;
  /** Whether the directory was renamed (redirect_dir in overlayfs.rst). */
  redirected: boolean;
  close: () => void;
}

/** Opens the counterpart of a directory. The caller closes it. @throws SystemError */
export function openCounterpart(
  layer: OpenLayer,
  place: Place,
  { name, lower, metadata }: Seen,
): Counterpart {
  const { redirect } = metadata;
  const { lower: root } = layer;
  const isHidden = metadata.opaque || !place.merged;
  if (redirect !== undefined && !isHidden && root !== undefined) {
    const lowerAt = redirect.startsWith('/') ? redirect.slice(1) : below(place.lowerAt, redirect);
    const opened = unlessAbsent(() => openBelow(root, lowerAt));
    // If the target does not exist, the overlay shows the directory as a new one.
    const merged = opened !== undefined;
    return { lower: opened, lowerAt, merged, redirected: merged, close: () => opened?.close() };
  }
  const lowerAt = below(place.lowerAt, name);
  const opened = lower?.type === 'directory' ? place.lower?.open(name) : undefined;
  const merged = opened !== undefined && !isHidden;
  return { lower: opened, lowerAt, merged, redirected: false, close: () => opened?.close() };
}

/** Compares a directory itself, without its content. @throws SystemError */
export async function compareDirectory(
  layer: OpenLayer,
  place: Place,
  seen: Seen,
  { lower, lowerAt, merged, redirected }: Counterpart,
  xattrs: XattrReader,
): Promise<Change | undefined> {
  const at = below(place.at, seen.name);
  const { target } = layer;
  const base = { ...seen.upper, path: seen.path, layer: target, capable: false, at, xattrs: [] };
  if (lower === undefined) {
    if (seen.lower === undefined) return { ...base, change: 'added', what: [] };
    return { ...base, change: 'replaced', what: ['type'], was: seen.lower.type, lowerAt };
  }
  const [found] = seen.lowerXattrs && !redirected ? [seen.lowerXattrs] : await xattrs.read([lower.path('.')]);
  if (found === undefined || 'error' in found)
    throw new SystemError(
      `its extended attributes on the sealed disk cannot be read (${found?.error ?? ''})`,
    );
  const more = {
    ...compareMetadata({ entry: seen.upper, xattrs: seen.xattrs }, { entry: lower.entry, xattrs: found }),
    lowerAt,
  };
  if (redirected) return { ...base, ...more, change: 'renamed', from: pathOf(layer, lowerAt) };
  if (!merged) return { ...base, ...more, change: 'opaque' };
  return more.what.length === 0 ? undefined : { ...base, ...more, change: 'modified' };
}

/**
 * Compares the directory at the mount point itself. Its extended attributes are not compared, because the boot creates the
 * upper layer with the mode and the owner of the lower layer only, and systemd or restorecon(8) labels it.
 */
export function compareRoot(layer: OpenLayer, upper: Entry, lower: Entry): Change | undefined {
  const xattrs = new Map();
  const { what } = compareMetadata({ entry: upper, xattrs }, { entry: lower, xattrs });
  if (what.length === 0) return undefined;
  const path = layer.target;
  return {
    ...upper,
    ...{ path, layer: path, change: 'modified', what, xattrs: [], capable: false, at: '', lowerAt: '' },
  };
}

function pathOf({ target }: OpenLayer, lowerAt: string): string {
  return `${target === '/' ? '' : target}/${lowerAt}`;
}

/** What was found out about a file that is not a directory. */
interface FileResult {
  /** The change; undefined if there is none. */
  change?: Change | undefined;
  /** The file of the sealed disk that another one replaced. */
  source?: Source;
  /** Set instead of `change` for a file that was copied up from another path. */
  target?: Target;
}

/** Compares a file that is not a directory and not a whiteout with its counterpart. @throws SystemError */
export async function compareFile(layer: OpenLayer, place: Place, seen: Seen): Promise<FileResult> {
  const { name, path, upper, lower, metadata } = seen;
  const lowerAt = below(place.lowerAt, name);
  const describe = (change: Kind, more: Partial<Change> = {}): Change => ({
    ...upper,
    ...{ path, layer: layer.target, change, what: [], xattrs: [] },
    ...{ capable: seen.xattrs.has('security.capability'), at: below(place.at, name) },
    ...more,
  });
  const { origin } = metadata;
  /** The result for a file that may have been copied up from another path. */
  const from = (otherwise: Change | undefined, renamed: Change): FileResult =>
    origin === undefined ? { change: otherwise } : { target: { origin, otherwise, renamed } };
  if (lower === undefined) return from(describe('added'), describe('renamed'));
  const source = { inode: lower.inode, path, lowerAt, deleted: undefined };
  if (lower.type !== upper.type) {
    const more = { what: ['type'] as const, was: lower.type, lowerAt };
    return { source, ...from(describe('replaced', more), describe('renamed', more)) };
  }
  const more = { ...(await differences(layer, place, seen)), lowerAt };
  // Where overlayfs records copy-ups, a file without a record was created anew.
  const isNew = !metadata.copied && (place.records || !place.merged);
  const isOther = origin !== undefined && origin !== lower.inode;
  const kind = isNew || isOther ? 'replaced' : 'modified';
  const otherwise = more.what.length === 0 ? undefined : describe(kind, more);
  return {
    ...(kind === 'replaced' ? { source } : {}),
    ...(isOther ? from(otherwise, describe('renamed', more)) : { change: otherwise }),
  };
}

async function differences(
  layer: OpenLayer,
  place: Place,
  seen: Seen,
): Promise<Pick<Change, 'what' | 'xattrs'>> {
  const { name, upper, lower, lowerXattrs, metadata } = seen;
  if (lower === undefined || lowerXattrs === undefined || place.lower === undefined)
    throw new SystemError('the file on the sealed disk cannot be read');
  return compare(
    { directory: place.upper, name, entry: upper, xattrs: seen.xattrs },
    { directory: place.lower, name, entry: lower, xattrs: lowerXattrs },
    metadata.metacopy && layer.metacopy,
  );
}

/**
 * Completes a renamed file with what differs from its source. If it replaced another file, `what` is the difference from
 * that file already.
 * @throws SystemError
 */
export async function completeRename(
  layer: OpenLayer,
  xattrs: XattrReader,
  renamed: Change,
  source: Source,
): Promise<Change> {
  const { at, lowerAt } = renamed;
  const { lower: root } = layer;
  if (lowerAt !== undefined || at === undefined || root === undefined)
    return { ...renamed, from: source.path };
  return inParent(layer.upper, at, (upper, name) =>
    inParent(root, source.lowerAt, async (lower, lowerName) => {
      const [mine, other] = [upper.stat(name), lower.stat(lowerName)];
      const [own, its] = await xattrs.read([upper.path(name), lower.path(lowerName)]);
      if (!mine || !other || !own || !its || 'error' in own || 'error' in its || mine.type !== other.type)
        throw new SystemError('changed while it was compared', 'EAGAIN');
      const found = await compare(
        { directory: upper, name, entry: mine, xattrs: own },
        { directory: lower, name: lowerName, entry: other, xattrs: its },
        overlayMetadata(own).metacopy && layer.metacopy,
      );
      return { ...renamed, ...found, from: source.path, lowerAt: source.lowerAt };
    }),
  );
}
