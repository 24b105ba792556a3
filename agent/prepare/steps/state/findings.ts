import { keys } from '../../../config/keys.ts';
import { unlessSystemError } from '../../../lib/errors.ts';
import { decodeBytes } from '../../../lib/format.ts';
import { persistItemWith } from '../../../facts/security/places.ts';
import { unitOf } from '../../../facts/security/programs/process-details.ts';
import { isBelow } from '../../../facts/mounts/mountinfo.ts';
import {
  type StateRule,
  directoryOf,
  globPattern,
  harmlessDirectories,
  statePlaceOf,
} from '../../../services/state-rules.ts';
import type { SystemReader, Ended } from '../../../system/reader.ts';
import type { StateFinding } from '../../engine/step.ts';
import type { OpenFile } from '../processes.ts';
import type { Packages } from '../packages.ts';
import type { Declaration } from '../../../facts/declared-directories.ts';
import { findRecords, prune } from '../../../system/find.ts';

/** What is known about the files of the groups. */
export interface Evidence {
  packages: Packages;
  openFiles: readonly OpenFile[];
  declarations: readonly Declaration[];
  /** The names of the services of the guest. */
  units: readonly string[];
  /** The directories outside of /var that were searched. */
  tops: readonly string[];
}

/** The units, packages, processes and settings that a finding lists. */
const listed = 5;

/**
 * Returns a finding for each group with state: a file that a process has open for writing, that no package owns, or that
 * changed after its package was installed. A file that a scriptlet made counts, too: it may as well be a database.
 */
export function findState(
  reader: SystemReader,
  groups: readonly StateGroup[],
  evidence: Evidence,
): StateFinding[] {
  return groups
    .flatMap((group) => finding(reader, group, evidence))
    .toSorted((one, other) => other.bytes - one.bytes || (one.name < other.name ? -1 : 1));
}

function finding(reader: SystemReader, group: StateGroup, evidence: Evidence): StateFinding[] {
  const { rule, files, bytes, newest } = group;
  const { packages, tops } = evidence;
  const directories = [...group.directories].toSorted();
  const owned = (path: string) => directories.some((directory) => isBelow(path, directory));
  const open = evidence.openFiles.filter(({ path }) => owned(path));
  // What is not as a package installed it. The ctime does not tell, because a copy of a disk has new ones.
  const written = group.candidates.filter(
    ({ path, modified }) => modified > (packages.ownerOf.get(path)?.installing.to ?? -Infinity),
  );
  const isLarge = files > group.candidates.length;
  if (open.length === 0 && written.length === 0 && !isLarge) return [];
  // A unit that names a path above may mean the directory of one service, or /var/lib.
  const isOwn = (path: string) => directoryOf(`${path}/x`, tops) === path;
  const declared = evidence.declarations.filter(
    ({ path }) => owned(path) || (isOwn(path) && directories.some((each) => isBelow(each, path))),
  );
  const service = rule?.service;
  const patterns = (service?.units ?? []).map(globPattern);
  const first = (texts: Iterable<string>) =>
    [...new Set(texts)].filter((text) => text !== '').slice(0, listed);
  const unitOfProcess = (pid: number) =>
    unlessSystemError(() => unitOf(reader.processes.read(pid, 'cgroup', 65536) ?? '')) ?? '';
  const kindOf = (path: string) => reader.stat(decodeBytes(path))?.kind;
  // PERSIST cannot name a path with blanks and some other characters.
  const isKeepable = directories.every(
    (each) => kindOf(each) !== 'file' && keys.PERSIST.goodItem?.(each) === true,
  );
  const kept = (service?.keep ?? directories).filter((each) => kindOf(each) === 'directory');
  return [
    {
      service: service?.id ?? null,
      name: service?.name ?? directories[0] ?? '',
      directories,
      units: first([
        ...open.flatMap(({ pids }) => pids.map(unitOfProcess)),
        ...declared.map(({ unit }) => unit),
        ...evidence.units.filter((unit) => patterns.some((pattern) => pattern.test(unit))),
      ]),
      packages: first(directories.flatMap((each) => packages.ownerOf.get(each)?.name ?? '')),
      files,
      bytes,
      lastWrite: new Date(newest * 1000).toISOString(),
      openBy: first(open.flatMap(({ who }) => who)),
      declaredBy: first(declared.map(({ unit, setting }) => `${setting} of ${unit}`)),
      unowned: written.filter(({ path }) => !packages.ownerOf.has(path)).length,
      changed: written.filter(({ path }) => packages.ownerOf.has(path)).length,
      loses: service?.loses ?? 'what is written here',
      advice: service?.advice ?? '',
      source: service?.source ?? null,
      persist: !isKeepable ? [] : kept.map((each) => persistItemWith(each, rule?.options ?? '')),
    },
  ];
}

/** The files of one service, or of one directory if the service is unknown. Paths have one character per byte (latin1). */
interface StateGroup {
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

interface Candidate {
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
