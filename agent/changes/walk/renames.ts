import type { Change, Found } from '../change.ts';

/** A file of the sealed disk that does not exist at its path any more. */
export interface Source {
  inode: bigint;
  path: string;
  /** The path relative to the lower layer. */
  lowerAt: string;
  /** The change to report if the file was not renamed; undefined if another change at the same path is reported. */
  deleted: Change | undefined;
}

/** A file that was copied up from another path. */
export interface Target {
  origin: bigint;
  /** The change to report if its source still exists; undefined if there is none. */
  otherwise: Change | undefined;
  /** The change to report if it was renamed. */
  renamed: Change;
}

/** What to report now, and the match. */
export interface Decision {
  report: Found[];
  match?: { source: Source; renamed: Change };
}

/** The number of sources and of targets that are held back. */
const mostHeld = 10_000;

/**
 * Finds which deleted file and which new file are the same, by the inode number that overlayfs recorded at the copy-up.
 * Holds back a limited number of changes until both are known, so memory is limited; a pair beyond the limit is reported
 * as a deletion and an addition.
 */
export function renameMatcher(limit = mostHeld) {
  const sources = new Map<bigint, Source>();
  const targets = new Map<bigint, Target>();
  const expected = new Set<bigint>();
  const nothing: Decision = { report: [] };
  const only = (change: Change | undefined): Decision => ({ report: change === undefined ? [] : [change] });
  return {
    source: (source: Source): Decision => {
      if (expected.delete(source.inode)) return nothing;
      const target = targets.get(source.inode);
      if (target !== undefined) {
        targets.delete(source.inode);
        return { report: [], match: { source, renamed: target.renamed } };
      }
      // A second name of the same inode cannot be told from the first one.
      if (sources.size >= limit || sources.has(source.inode)) return only(source.deleted);
      sources.set(source.inode, source);
      return nothing;
    },
    target: (target: Target): Decision => {
      const source = sources.get(target.origin);
      if (source !== undefined) {
        sources.delete(target.origin);
        return { report: [], match: { source, renamed: target.renamed } };
      }
      if (targets.size >= limit || targets.has(target.origin)) return only(target.otherwise);
      targets.set(target.origin, target);
      return nothing;
    },
    /** Announces that the deletion of a file is part of a rename that is known already. */
    expect: (inode: bigint): void => {
      if (!sources.delete(inode) && expected.size < limit) expected.add(inode);
    },
    /** @returns the changes that are still held back */
    end: (): Found[] => {
      const held = [
        ...[...sources.values()].map(({ deleted }) => deleted),
        ...[...targets.values()].map(({ otherwise }) => otherwise),
      ];
      sources.clear();
      targets.clear();
      return held.filter((each) => each !== undefined);
    },
  };
}
