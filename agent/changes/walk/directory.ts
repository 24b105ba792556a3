import { SystemError, isAbsent } from '../../lib/errors.ts';
import type { Entry, Directory } from '../../system/layers/directory.ts';
import type { XattrReader } from '../../system/layers/xattrs.ts';
import type { Change } from '../change.ts';
import { compareMetadata, stateOf } from './compare.ts';
import { openBelow } from './open-below.ts';
import { type OpenLayer, type Place, type Seen, below } from './place.ts';

/** The directory of the sealed disk that a directory of the upper layer shows or hides. */
export interface Counterpart {
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
  const isHidden = metadata.opaque || !place.merged;
  if (redirect !== undefined && !isHidden && layer.lower !== undefined) {
    const lowerAt = redirect.startsWith('/') ? redirect.slice(1) : below(place.lowerAt, redirect);
    const opened = unlessAbsent(layer.lower, lowerAt);
    // If the target does not exist, the overlay shows the directory as a new one.
    const merged = opened !== undefined;
    return { lower: opened, lowerAt, merged, redirected: merged, close: () => opened?.close() };
  }
  const lowerAt = below(place.lowerAt, name);
  const opened = lower?.type === 'directory' ? place.lower?.open(name) : undefined;
  const merged = opened !== undefined && !isHidden;
  return { lower: opened, lowerAt, merged, redirected: false, close: () => opened?.close() };
}

function unlessAbsent(root: Directory, path: string): Directory | undefined {
  try {
    return openBelow(root, path);
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
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
  const base = {
    ...stateOf(seen.upper),
    path: seen.path,
    layer: layer.target,
    capable: false,
    at,
    xattrs: [],
  };
  if (lower === undefined) {
    if (seen.lower === undefined) return { ...base, change: 'added', what: [] };
    return { ...base, change: 'replaced', what: ['type'], was: seen.lower.type, lowerAt };
  }
  const [found] = seen.lowerXattrs && !redirected ? [seen.lowerXattrs] : await xattrs.read([lower.path('.')]);
  if (found === undefined || 'error' in found)
    throw new SystemError(
      `its extended attributes on the sealed disk cannot be read (${found?.error ?? ''})`,
    );
  const more = { ...compareMetadata([seen.upper, seen.xattrs], [lower.entry, found]), lowerAt };
  if (redirected) return { ...base, ...more, change: 'renamed', from: pathOf(layer, lowerAt) };
  if (!merged) return { ...base, ...more, change: 'opaque' };
  return more.what.length === 0 ? undefined : { ...base, ...more, change: 'modified' };
}

/**
 * Compares the directory at the mount point itself. Its extended attributes are not compared, because the boot creates the
 * upper layer with the mode and the owner of the lower layer only, and systemd or restorecon(8) labels it.
 */
export function compareRoot(layer: OpenLayer, upper: Entry, lower: Entry): Change | undefined {
  const { what } = compareMetadata([upper, new Map()], [lower, new Map()]);
  if (what.length === 0) return undefined;
  const path = layer.target;
  return {
    ...stateOf(upper),
    ...{ path, layer: path, change: 'modified', what, xattrs: [], capable: false, at: '', lowerAt: '' },
  };
}

function pathOf({ target }: OpenLayer, lowerAt: string): string {
  return `${target === '/' ? '' : target}/${lowerAt}`;
}
