import { isUtf8 } from 'node:buffer';
import { isBelow } from '../../../facts/mounts/mountinfo.ts';
import { decodeBytes } from '../../../lib/format.ts';
import { harmlessDirectories, statePlaceOf, type StateRule } from '../../../services/state-rules.ts';
import type { Ended, SystemReader } from '../../../system/reader.ts';
import { findRecords, prune } from '../../../system/find.ts';

/** The files of one service, or of one directory if the service is unknown. Paths have one character per byte (latin1). */
export interface StateGroup {
  /** The directories; for an unknown service, a directory or a single file. */
  directories: Set<string>;
  /** The row of the table; undefined if the service is unknown. */
  rule: StateRule | undefined;
  /** Whether the files are state only if something shows it. */
  isExamined: boolean;
  /** The number of files that belong to another user than root. */
  foreign: number;
  /** The number of files, and their size in bytes. */
  files: number;
  bytes: number;
  /** The last write, in seconds since the epoch. */
  newest: number;
  /** The first files, by which packages are asked. */
  candidates: Candidate[];
}

interface Candidate {
  path: string;
  /** The mtime, in seconds since the epoch. */
  modified: number;
  uid: number;
}

export interface StateArea {
  /**
   * What a sealed boot resets: /var, the file systems below it on disks that will be sealed, and the paths of OVERLAY; and
   * the directories elsewhere in which a program writes.
   */
  roots: readonly string[];
  /** The roots outside of /var. Files below one of them are reported together, if no service is known for them. */
  tops: readonly string[];
  /** The paths of PERSIST and SCRATCH and those that an administrator accepted, which are not searched. */
  decided: readonly string[];
  /** Whether a file that is examined is a cache or a log (expendable.ts). */
  isExpendable: (file: string) => boolean;
}

/** The timeout of the search, in milliseconds. */
const limit = 120_000;
/** The files of a group that are examined one by one, and the groups, which bound the memory. */
const mostCandidates = 2000;
const mostGroups = 1000;

/**
 * Finds the files that a sealed boot resets, except for those that the table of services calls harmless, in one walk.
 * @param progress is called as the output arrives
 * @returns the groups; and the reason why the search is incomplete, or undefined
 */
export async function searchState(
  reader: SystemReader,
  { roots, tops, decided, isExpendable }: StateArea,
  progress: (directory: string) => void,
): Promise<{ groups: StateGroup[]; incomplete: string | undefined }> {
  const groups = new Map<string, StateGroup>();
  let further = 0;
  // The arguments of a program are UTF-8, and an accepted path can have other bytes.
  const pruned = decided.filter((each) => isUtf8(Buffer.from(each, 'latin1')));
  const others = decided.filter((each) => !pruned.includes(each));
  const args = [
    ...roots,
    ...['-ignore_readdir_race', '-xdev', ...prune([...harmlessDirectories, ...pruned.map(decodeBytes)])],
    ...['-type', 'f', '-printf', '%T@ %s %U %p\\0'],
  ];
  const ended = await findRecords(reader, args, limit, (record) => {
    const [, modified, bytes, owner, path = ''] = /^(\S+) (\d+) (\d+) (.*)$/s.exec(record) ?? [];
    // find prunes only directories, and an administrator may have accepted a single file.
    const isDecided = decided.includes(path) || others.some((each) => isBelow(path, each));
    const isSearched = path.startsWith('/') && !isDecided;
    const place = isSearched ? statePlaceOf(path, tops, Number(bytes)) : undefined;
    if (place === undefined || (place.isExamined && isExpendable(path))) return;
    const { key, directory, rule, isExamined } = place;
    const uid = Number(owner);
    let group = groups.get(key);
    if (group === undefined && groups.size >= mostGroups) {
      further += 1;
      return;
    }
    if (group === undefined) {
      progress(directory);
      group = {
        ...{ directories: new Set(), rule, isExamined, foreign: 0 },
        ...{ files: 0, bytes: 0, newest: 0, candidates: [] },
      };
      groups.set(key, group);
    }
    group.directories.add(directory);
    group.files += 1;
    if (uid !== 0) group.foreign += 1;
    group.bytes += Number(bytes);
    group.newest = Math.max(group.newest, Number(modified));
    if (group.candidates.length < mostCandidates)
      group.candidates.push({ path, modified: Number(modified), uid });
  });
  return { groups: [...groups.values()], incomplete: reasonOf(ended, further) };
}

function reasonOf(ended: Ended['ended'], further: number): string | undefined {
  if (ended === 'deadline') return `the search did not end within ${limit / 1000} s`;
  if (ended !== 'good') return 'find could not read every directory';
  return further > 0 ? `${further} files in further directories were not examined` : undefined;
}
