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

/**
 * Finds which deleted file and which new file are the same, by the inode number that overlayfs recorded at the copy-up.
 * Holds back a limited number of changes until both are known, so memory is limited; a pair beyond the limit is reported
 * as a deletion and an addition.
 */
interface Renames {
  /** @returns what to report now, and the matches */
  source(source: Source): Decision;
  target(target: Target): Decision;
  /** Announces that the deletion of a file is part of a rename that is known already. */
  expect(inode: bigint): Decision;
  /** @returns the changes that are still held back */
  end(): Found[];
}

export interface Decision {
  report: Found[];
  match?: { source: Source; renamed: Change };
}

/** The number of sources and of targets that are held back. */
const mostHeld = 10_000;

export function renameMatcher(limit = mostHeld): Renames {
  const sources = new Map<bigint, Source>();
  const targets = new Map<bigint, Target>();
  const expected = new Set<bigint>();
  const nothing: Decision = { report: [] };
  const only = (change: Change | undefined): Decision => ({ report: change === undefined ? [] : [change] });
  return {
    source: (source) => {
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
    target: (target) => {
      const source = sources.get(target.origin);
      if (source !== undefined) {
        sources.delete(target.origin);
        return { report: [], match: { source, renamed: target.renamed } };
      }
      if (targets.size >= limit || targets.has(target.origin)) return only(target.otherwise);
      targets.set(target.origin, target);
      return nothing;
    },
    expect: (inode) => {
      if (!sources.delete(inode) && expected.size < limit) expected.add(inode);
      return nothing;
    },
    end: () => {
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
