import { keys } from '../../../config/keys.ts';
import { decodeBytes } from '../../../lib/format.ts';
import { persistItemWith } from '../../../facts/security/places.ts';
import { unitOf } from '../../../facts/security/programs/process-details.ts';
import { isBelow } from '../../../facts/mounts/mountinfo.ts';
import { directoryOf, globPattern } from '../../../services/state-rules.ts';
import type { SystemReader } from '../../../system/reader.ts';
import type { StateFinding } from '../../engine/step.ts';
import type { OpenFile } from '../open-files.ts';
import type { Packages } from '../packages.ts';
import type { Declaration } from '../../../facts/declared-directories.ts';
import type { Candidate, StateGroup } from './search.ts';

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
  const written = group.candidates.filter((candidate) => isWritten(candidate, packages));
  const isLarge = files > group.candidates.length;
  if (open.length === 0 && written.length === 0 && !isLarge) return [];
  const declared = evidence.declarations.filter(
    ({ path }) =>
      owned(path) || directories.some((each) => isOwnDirectory(path, tops) && isBelow(each, path)),
  );
  const service = rule?.service;
  const patterns = (service?.units ?? []).map(globPattern);
  const first = (texts: Iterable<string>) =>
    [...new Set(texts)].filter((text) => text !== '').slice(0, listed);
  const kindOf = (path: string) => reader.stat(decodeBytes(path))?.kind;
  const isKeepable = directories.every((each) => kindOf(each) !== 'file' && isGoodItem(each));
  const kept = (service?.keep ?? directories).filter((each) => kindOf(each) === 'directory');
  return [
    {
      service: service?.id ?? null,
      name: service?.name ?? directories[0] ?? '',
      directories,
      units: first([
        ...open.flatMap(({ pids }) => pids.map((pid) => unitOfProcess(reader, pid))),
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

/** Whether a file is not as a package installed it. The ctime does not tell, because a copy of a disk has new ones. */
function isWritten({ path, modified }: Candidate, { ownerOf }: Packages): boolean {
  const owner = ownerOf.get(path);
  return owner === undefined || modified > owner.installing.to;
}

/** Whether PERSIST can name a path, which excludes blanks and some other characters. */
function isGoodItem(path: string): boolean {
  return keys.PERSIST.goodItem?.(path) === true;
}

/** Whether a unit that names a path means the directory of one service, and not /var/lib. */
function isOwnDirectory(path: string, tops: readonly string[]): boolean {
  return directoryOf(`${path}/x`, tops) === path;
}

function unitOfProcess({ processes }: SystemReader, pid: number): string {
  try {
    return unitOf(processes.read(pid, 'cgroup', 65536) ?? '');
  } catch {
    return '';
  }
}
