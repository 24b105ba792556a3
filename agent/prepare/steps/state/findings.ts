import { keys } from '../../../config/keys.ts';
import { unlessSystemError } from '../../../lib/errors.ts';
import { decodeBytes } from '../../../lib/format.ts';
import { persistItemWith } from '../../../facts/security/places.ts';
import { unitOf } from '../../../facts/security/programs/process-details.ts';
import { isBelow } from '../../../facts/mounts/mountinfo.ts';
import { directoryOf, globPattern, stateRuleOf } from '../../../services/state-rules.ts';
import type { SystemReader } from '../../../system/reader.ts';
import type { Service } from '../../../services/services.ts';
import type { FoundState } from '../../engine/step.ts';
import type { StateArea, StateGroup } from './search.ts';
import type { OpenFile } from '../../engine/processes.ts';
import type { Packages } from '../packages.ts';
import type { Declaration } from '../../../facts/declared-directories.ts';

/** What is known about the files of the groups. */
export interface Evidence {
  packages: Packages;
  openFiles: readonly OpenFile[];
  declarations: readonly Declaration[];
  /** The names of the services of the guest. */
  units: readonly string[];
  /** The directories outside of /var that were searched. */
  tops: readonly string[];
  isExpendable: StateArea['isExpendable'];
}

/** The units, packages, processes and settings that a finding lists. */
const listed = 5;

/**
 * Returns a finding for each group with state: a file that a process has open for writing, that no package owns, or that
 * changed after its package was installed. A file that a scriptlet made counts, too: it may as well be a database. Caches
 * and logs are examined more closely (isStateInCaches).
 */
export function findState(
  reader: SystemReader,
  groups: readonly StateGroup[],
  evidence: Evidence,
): FoundState[] {
  return groups
    .flatMap((group) => finding(reader, group, evidence))
    .toSorted((one, other) => other.bytes - one.bytes || (one.name < other.name ? -1 : 1));
}

function finding(reader: SystemReader, group: StateGroup, evidence: Evidence): FoundState[] {
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
  if (
    group.isExamined
      ? !isStateInCaches(reader, group, open, evidence)
      : open.length === 0 && written.length === 0 && !isLarge
  )
    return [];
  const service = rule?.service;
  // A unit that names a path above may mean the directory of one service, or /var/lib.
  const isOwn = (path: string) => directoryOf(`${path}/x`, tops) === path;
  const isOfAnother = (path: string) =>
    service !== undefined && (stateRuleOf(path)?.service ?? service) !== service;
  const declared = evidence.declarations.filter(
    ({ path }) =>
      !isOfAnother(path) && (owned(path) || (isOwn(path) && directories.some((each) => isBelow(each, path)))),
  );
  const unitOfProcess = (pid: number) =>
    unlessSystemError(() => unitOf(reader.processes.read(pid, 'cgroup', 65536) ?? '')) ?? '';
  return [
    {
      ...describeService(reader, service, directories, rule?.options ?? ''),
      units: first([
        ...open.flatMap(({ pids }) => pids.map(unitOfProcess)),
        ...declared.map(({ unit }) => unit),
        ...unitsOf(service, evidence.units),
      ]),
      packages: first(directories.flatMap((each) => packages.ownerOf.get(each)?.name ?? '')),
      files,
      bytes,
      lastWrite: new Date(newest * 1000).toISOString(),
      openBy: first(open.flatMap(({ who }) => who)),
      declaredBy: first(declared.map(({ unit, setting }) => `${setting} of ${unit}`)),
      unowned: written.filter(({ path }) => !packages.ownerOf.has(path)).length,
      changed: written.filter(({ path }) => packages.ownerOf.has(path)).length,
    },
  ];
}

const first = (texts: Iterable<string>) => [...new Set(texts)].filter((text) => text !== '').slice(0, listed);

/** Returns the units of a service. @param units the names of units */
export function unitsOf(service: Service | undefined, units: Iterable<string>): string[] {
  const patterns = (service?.units ?? []).map(globPattern);
  return [...units].filter((unit) => patterns.some((pattern) => pattern.test(unit)));
}

/** Returns what the table of services says about a finding. @param directories of an unknown service: one */
export function describeService(
  reader: SystemReader,
  service: Service | undefined,
  directories: string[],
  options: string,
): Pick<FoundState, 'service' | 'name' | 'directories' | 'loses' | 'advice' | 'source' | 'persist'> {
  const kindOf = (path: string) => reader.stat(decodeBytes(path))?.kind;
  // PERSIST cannot name a path with blanks and some other characters.
  const isKeepable = directories.every(
    (each) => kindOf(each) !== 'file' && keys.PERSIST.goodItem?.(each) === true,
  );
  const kept = (service?.keep ?? directories).filter((each) => kindOf(each) === 'directory');
  return {
    service: service?.id ?? null,
    name: service?.name ?? directories[0] ?? '',
    directories,
    loses: service?.loses ?? 'what is written here',
    advice: service?.advice ?? '',
    source: service?.source ?? null,
    persist: !isKeepable ? [] : kept.map((each) => persistItemWith(each, options)),
  };
}

/** The programs that write logs for others. */
const loggers: readonly string[] = ['rsyslogd', 'syslog-ng', 'systemd-journald', 'auditd'].flatMap((name) => [
  `/usr/sbin/${name}`,
  `/usr/lib/systemd/${name}`,
]);

/**
 * Whether a group below /var/cache or /var/log, of files that are neither caches nor logs as far as it is known
 * (expendable.ts), is state: a file that no package owns belongs to another user than root, or is open for writing; or no
 * package owns the directory either.
 */
function isStateInCaches(
  reader: SystemReader,
  { candidates, directories, files, foreign }: StateGroup,
  open: readonly OpenFile[],
  { packages, isExpendable }: Evidence,
): boolean {
  const paths = new Set(candidates.map(({ path }) => path));
  const isOpen = open.some(
    ({ path, pids }) =>
      !isExpendable(path) &&
      !packages.ownerOf.has(path) &&
      pids.some((pid) => !loggers.includes(unlessSystemError(() => reader.processes.link(pid, 'exe')) ?? '')),
  );
  const isForeign =
    candidates.some(({ path, uid }) => uid !== 0 && !packages.ownerOf.has(path)) ||
    (files > candidates.length && foreign > 0);
  const isOfNoPackage = [...directories].some(
    (each) =>
      !paths.has(each) &&
      !packages.ownerOf.has(each) &&
      candidates.some(({ path }) => isBelow(path, each) && !packages.ownerOf.has(path)),
  );
  return isOpen || isForeign || isOfNoPackage;
}
