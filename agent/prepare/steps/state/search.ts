import { type StateRule, harmlessDirectories, statePlaceOf } from '../../../services/state-rules.ts';
import { findRecords, prune } from '../../../system/find.ts';
import type { Ended, SystemReader } from '../../../system/reader.ts';

/** The files of one service, or of one directory if the service is unknown. Paths have one character per byte (latin1). */
export interface StateGroup {
  /** The directories; for an unknown service, a directory or a single file. */
  directories: Set<string>;
  /** The row of the table; undefined if the service is unknown. */
  rule: StateRule | undefined;
  /** The number of files, and their size in bytes. */
  files: number;
  bytes: number;
  /** The last write, in seconds since the epoch. */
  newest: number;
  /** The first files, by which packages are asked. */
  candidates: Candidate[];
}

export interface Candidate {
  path: string;
  /** The mtime, in seconds since the epoch. */
  modified: number;
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
  { roots, tops, decided }: StateArea,
  progress: (directory: string) => void,
): Promise<{ groups: StateGroup[]; incomplete: string | undefined }> {
  const groups = new Map<string, StateGroup>();
  let further = 0;
  const args = [
    ...roots,
    ...['-ignore_readdir_race', '-xdev', ...prune([...harmlessDirectories, ...decided])],
    ...['-type', 'f', '-printf', '%T@ %s %p\\0'],
  ];
  const ended = await findRecords(reader, args, limit, (record) => {
    const [, modified, bytes, path = ''] = /^(\S+) (\d+) (.*)$/s.exec(record) ?? [];
    // find prunes only directories, and an administrator may have accepted a single file.
    const isSearched = path.startsWith('/') && !decided.includes(path);
    const place = isSearched ? statePlaceOf(path, tops) : undefined;
    if (place === undefined) return;
    const { key, directory, rule } = place;
    let group = groups.get(key);
    if (group === undefined && groups.size >= mostGroups) {
      further += 1;
      return;
    }
    if (group === undefined) {
      progress(directory);
      group = { directories: new Set(), rule, files: 0, bytes: 0, newest: 0, candidates: [] };
      groups.set(key, group);
    }
    group.directories.add(directory);
    group.files += 1;
    group.bytes += Number(bytes);
    group.newest = Math.max(group.newest, Number(modified));
    if (group.candidates.length < mostCandidates) group.candidates.push({ path, modified: Number(modified) });
  });
  return { groups: [...groups.values()], incomplete: reasonOf(ended, further) };
}

function reasonOf(ended: Ended['ended'], further: number): string | undefined {
  if (ended === 'deadline') return `the search did not end within ${limit / 1000} s`;
  if (ended !== 'good') return 'find could not read every directory';
  return further > 0 ? `${further} files in further directories were not examined` : undefined;
}
