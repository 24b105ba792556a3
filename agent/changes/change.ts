import { isBelow } from '../facts/mounts/mountinfo.ts';
import type { Entry } from '../system/layers/directory.ts';
import type { OpenLayer } from './walk/place.ts';

/**
 * A difference between a layer and the sealed disk, with the state of the file in the layer or, for a deleted file, on the
 * sealed disk.
 *
 * - `added`: the sealed disk has no such file.
 * - `modified`: the file on the sealed disk was changed (`what`).
 * - `deleted`: the file is on the sealed disk only. A deleted directory is one change.
 * - `replaced`: the file was removed and another one was created or moved to its path.
 * - `opaque`: a directory was removed and another one was created at its path, which does not show the content of the
 *   removed directory. Each entry of the removed directory that does not exist any more is a `deleted`.
 * - `renamed`: the file or directory has another path on the sealed disk (`from`), where it does not exist any more.
 */
export interface Change extends Entry {
  /** One character per byte (latin1), as every path and name in agent/changes. */
  path: string;
  /** The mount point of the layer. */
  layer: string;
  change: Kind;
  /** What differs; empty for a file of which the sealed disk has no counterpart. */
  what: readonly Aspect[];
  /** The type of the file on the sealed disk, if it differs. */
  was?: Entry['type'];
  /** The path on the sealed disk. */
  from?: string;
  /** The names of the extended attributes that differ. */
  xattrs: readonly string[];
  /** Whether the file has capabilities (capabilities(7)), which have an effect like that of set-user-ID. */
  capable: boolean;
  /** The path relative to the upper layer; undefined if the file is not in an upper layer. */
  at?: string;
  /** The path of the counterpart relative to the lower layer, if there is one. */
  lowerAt?: string;
}

export type Kind = 'added' | 'modified' | 'deleted' | 'replaced' | 'opaque' | 'renamed';

export type Aspect = 'type' | 'content' | 'mode' | 'owner' | 'xattr' | 'mtime';

/** A part of a layer that could not be compared. What is there is unknown. */
export interface Unknown {
  path: string;
  layer: string;
  error: string;
}

export type Found = Change | Unknown;

export function isUnknown(found: Found): found is Unknown {
  return 'error' in found;
}

/** Receives what was found, and the open layer if the file is in a layer. The walk waits for the returned promise. */
export type Report = (found: Found, layer?: OpenLayer) => void | Promise<void>;

/** Returns text, such as a path in mountinfo, as bytes, one character per byte (latin1). */
export function bytesOf(text: string): string {
  return Buffer.from(text).toString('latin1');
}

/** Which paths are of interest. */
export interface Selection {
  /** Whether a path is one of the selected paths or below one. */
  has(path: string): boolean;
  /** Whether a directory is selected or leads to a selected path. */
  leadsTo(directory: string): boolean;
}

/** @param paths absolute, normalised; one character per byte (latin1). Selects everything if empty. */
export function selection(paths: readonly string[]): Selection {
  if (paths.length === 0) return { has: () => true, leadsTo: () => true };
  const has = (path: string) => paths.some((each) => isBelow(path, each));
  return {
    has,
    leadsTo: (directory) => has(directory) || paths.some((each) => isBelow(each, directory)),
  };
}
