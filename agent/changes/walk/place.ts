import type { Entry, Folder } from '../../system/layers/folder.ts';
import type { Xattrs } from '../../system/layers/xattrs.ts';
import type { OverlayMetadata } from './overlay-xattrs.ts';

/** The open folders of a layer. */
export interface OpenLayer {
  /** The mount point. */
  target: string;
  upper: Folder;
  /** The folder of the sealed disk; undefined for a folder without counterpart, in which everything is new. */
  lower: Folder | undefined;
  /** Whether the overlay takes the content of a file with trusted.overlay.metacopy from the lower layer. */
  metacopy: boolean;
}

/** An open folder of the upper layer, with its counterpart. */
export interface Place {
  /** The path that the overlay shows; empty for a layer at "/". */
  path: string;
  /** The path relative to the upper layer; empty for the upper layer itself. */
  at: string;
  upper: Folder;
  lower: Folder | undefined;
  /** The path relative to the lower layer, which differs from `at` below a renamed folder. */
  lowerAt: string;
  /** Whether the overlay also shows the entries of the lower folder. */
  merged: boolean;
  /** Whether overlayfs recorded that the folder was copied up, so that it records this for files as well. */
  records: boolean;
  depth: number;
}

/** An entry of a folder of the upper layer, with its counterpart. */
export interface Seen {
  name: string;
  /** The path that the overlay shows. */
  path: string;
  upper: Entry;
  /** The entry of the same name in the lower folder; undefined if there is none, or a whiteout. */
  lower: Entry | undefined;
  xattrs: Xattrs;
  /** The attributes of `lower`; undefined without it and if it has another type. */
  lowerXattrs: Xattrs | undefined;
  metadata: OverlayMetadata;
}

/** Joins a relative path, which may be empty, and a name. */
export const below = (folder: string, name: string) => (folder === '' ? name : `${folder}/${name}`);
