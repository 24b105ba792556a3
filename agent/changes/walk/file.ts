import { SystemError } from '../../lib/errors.ts';
import type { XattrReader } from '../../system/layers/xattrs.ts';
import type { Change, Kind } from '../change.ts';
import { compareMetadata, haveSameContent, stateOf } from './compare.ts';
import { inParent } from './open-below.ts';
import { overlayMetadata } from './overlay-xattrs.ts';
import { type OpenLayer, type Place, type Seen, below } from './place.ts';
import type { Source, Target } from './renames.ts';

/** What was found out about a file that is not a directory. */
export interface FileResult {
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
    ...stateOf(upper),
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
  const metacopy = metadata.metacopy && layer.metacopy;
  const located = { directory: place.upper, name, entry: upper };
  const same = await haveSameContent(located, { directory: place.lower, name, entry: lower }, metacopy);
  const { what, xattrs } = compareMetadata([upper, seen.xattrs], [lower, lowerXattrs]);
  return { what: [...(same ? [] : ['content' as const]), ...what], xattrs };
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
      const metacopy = overlayMetadata(own).metacopy && layer.metacopy;
      const located = { directory: lower, name: lowerName, entry: other };
      const same = await haveSameContent({ directory: upper, name, entry: mine }, located, metacopy);
      const found = compareMetadata([mine, own], [other, its]);
      const what = [...(same ? [] : ['content' as const]), ...found.what];
      return { ...renamed, ...found, what, from: source.path, lowerAt: source.lowerAt };
    }),
  );
}
