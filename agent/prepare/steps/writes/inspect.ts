import { once } from '../../../lib/cached.ts';
import { unlessSystemError } from '../../../lib/errors.ts';
import { decodeBytes, shortList } from '../../../lib/format.ts';
import { parseSwaps } from '../../../facts/disks/disks.ts';
import { type MountTable, isBelow } from '../../../facts/mounts/mountinfo.ts';
import { stateRuleOf } from '../../../services/state-rules.ts';
import type { SystemReader } from '../../../system/reader.ts';
import { readActionLog } from '../../engine/action-log.ts';
import { when } from '../../engine/part.ts';
import type { Snapshot } from '../../engine/snapshot.ts';
import type { OpenFile } from '../../engine/processes.ts';
import type { Settings, WriteGroup } from '../../engine/step.ts';
import { type Accepted, readAccepted } from '../../../config/accepted.ts';
import { type Grouped, directoryOfChange, groupChanges } from './group.ts';
import { isKeytabRenewed, keytab, findRunningPrograms, runningFrom, ownPeriods } from './writers.ts';
import { canOverlay } from './proposal.ts';
import { layeredRoots, planOverlays } from '../layers.ts';
import { type Packages, noPackages, readPackages } from '../packages.ts';
import { type Change, type SearchArea, isOnDisk, searchAreaOf, searchChanges } from './search.ts';

const secondsPerDay = 86400;
/** The processes that a group lists. */
const mostPrograms = 10;
/** The maximum number of changes that are examined one by one, which bounds the memory. */
const mostChanges = 50_000;

export interface Inspection extends Grouped {
  /** The beginning of the period, in seconds since the epoch. */
  since: number;
  /** What was accepted before this run. */
  accepted: Accepted;
  /** The directories of the groups that the step `state` reports. */
  stateDirectories: string[];
  /**
   * Returns the owners of what has changed and of everything that the step `state` searches; or, as a text, the reason why
   * they are unknown. The package database is read at the first call.
   */
  packages: () => Promise<Packages | string>;
  /** The reasons why the result is incomplete, each with the solution. */
  problems: string[];
  notes: string[];
}

/** One inspection of a snapshot serves the steps `state` and `writes`. The mount table is read once for each snapshot. */
const inspections = new WeakMap<MountTable, Promise<Inspection>>();

/** Finds what was changed since the last boot or in the last days (--since), and who changed it. */
export function inspectWrites(look: Snapshot): Promise<Inspection> {
  const found = inspections.get(look.mounts) ?? inspect(look);
  inspections.set(look.mounts, found);
  return found;
}

async function inspect(look: Snapshot): Promise<Inspection> {
  const { reader, mounts, settings } = look;
  const { sinceDays } = settings;
  const seconds = sinceDays === undefined ? reader.environment().seconds : sinceDays * secondsPerDay;
  const since = reader.now().getTime() / 1000 - seconds;
  const accepted = readAccepted(reader);
  const area = searchAreaOf(look);
  const changes: Change[] = [];
  let further = 0;
  // find returns mount points, too, whose status is that of another file system.
  const roots = new Set(area.roots.map(asBytes));
  const mountPoints = new Set(mounts.all.map(({ target }) => asBytes(target)));
  const incomplete = await searchChanges(
    reader,
    area,
    since,
    (change) => {
      if (mountPoints.has(change.path) && !roots.has(change.path)) return;
      if (changes.length < mostChanges) changes.push(change);
      else further += 1;
    },
    (folder) => settings.progress(`Searching ${folder} for changes`),
  );
  const swapFiles = swapFilesOf(look);
  const folders = reader.list('/').map((name) => `/${asBytes(name)}`);
  const swaps = [...swapFiles].map((path) => ({ path, bytes: 0, who: ['the kernel (swap)'], pids: [] }));
  const openFiles = [...look.openFiles(folders), ...swaps].filter(({ path }) => isSearched(look, area, path));
  const readOwners = once(() =>
    readPackages(reader, ownersWanted(look, changes, openFiles), () =>
      settings.progress('Reading the package database'),
    ),
  );
  const packages = changes.length + openFiles.length === 0 ? noPackages : await readOwners();
  const grouped = groupChanges(changes, {
    packages: typeof packages === 'string' ? noPackages : packages,
    own: ownPeriods(unlessSystemError(() => readActionLog(reader)) ?? []),
    accepted: withAcceptance(accepted, settings),
    ...{ openFiles, swapFiles },
    predicted: isKeytabRenewed(reader) ? [keytab] : [],
  });
  const { groups, unexamined } = await withPrograms(look, grouped.groups);
  return {
    ...{ ...grouped, groups, since, accepted, packages: readOwners },
    stateDirectories: groups.flatMap((group) => (isState(reader, group) ? [group.directory ?? '/'] : [])),
    problems: [
      ...when(
        incomplete !== undefined,
        `The search for changes is incomplete: ${incomplete}. Check the disk (dmesg), and run prepare again.`,
      ),
      ...when(
        further > 0,
        `${further} further changes were not examined: reboot while the disk is writable, or use a shorter --since, and run prepare again.`,
      ),
    ],
    notes: [
      ...when(
        unexamined.length > 0,
        `A program that runs from one of these directories may be missing, because not every process could be examined: ${shortList(unexamined, '; ', 3)}.`,
      ),
      ...(typeof packages === 'string'
        ? [`Updates cannot be recognised and count as changes: ${packages}.`]
        : []),
    ],
  };
}

/**
 * Returns whether the owner of a path is needed: by the step `writes` of what has changed or is open for writing; and by the
 * step `state` of everything in /var, in the overlays, and in the directories in which a program may turn out to keep state,
 * once the owners of the changes are known.
 */
function ownersWanted(
  look: Snapshot,
  changes: readonly Change[],
  openFiles: readonly OpenFile[],
): (path: string) => boolean {
  const open = openFiles.map(({ path }) => ({ path, type: 'f' }));
  const directories = new Set([...changes, ...open].map(directoryOfChange));
  const searched = [
    ...[...layeredRoots(look), ...planOverlays(look).targets].map(asBytes),
    ...[...directories].filter((directory) => mayBeState(look.reader, directory)),
  ];
  const paths = new Set([...[...changes, ...openFiles].map(({ path }) => path), ...searched]);
  const prefixes = searched.map((directory) => `${directory}/`);
  return (path) => paths.has(path) || prefixes.some((prefix) => path.startsWith(prefix));
}

/** Returns the accepted changes as they are after this run. */
function withAcceptance(accepted: Accepted, { acceptPaths, acceptUntil = 0 }: Settings): Accepted {
  return {
    ...accepted,
    paths: [...accepted.paths, ...acceptPaths],
    until: Math.max(accepted.until, acceptUntil),
  };
}

/** Adds to each group of an unknown writer the programs that run from its directory. */
async function withPrograms(
  look: Snapshot,
  groups: readonly WriteGroup[],
): Promise<{ groups: WriteGroup[]; unexamined: string[] }> {
  if (!groups.some(({ directory }) => directory !== null)) return { groups: [...groups], unexamined: [] };
  const { programs, unexamined } = await findRunningPrograms(look);
  const running = ({ directory, openBy }: WriteGroup) =>
    // Programs of administrators run from /usr, too.
    directory === null || openBy.length > 0 || isBelow(directory, '/usr')
      ? []
      : runningFrom(programs, directory).slice(0, mostPrograms);
  return { groups: groups.map((group) => ({ ...group, programs: running(group) })), unexamined };
}

/**
 * Whether the step `state` reports a group: a known service keeps its state there, or a program is seen to write
 * there, because a process has a file of the directory open for writing, or runs from it. Everything else of unknown
 * origin may as well be the work of an administrator, which a sealed guest keeps.
 */
export function isState(reader: SystemReader, { directory, openBy, programs }: WriteGroup): boolean {
  if (directory === null) return false;
  if (isStateOfService(directory)) return true;
  return canOverlay(reader, directory) && (openBy.length > 0 || programs.length > 0);
}

/** Whether `isState` is possible for a group of a directory. */
function mayBeState(reader: SystemReader, directory: string): boolean {
  return isStateOfService(directory) || canOverlay(reader, directory);
}

function isStateOfService(directory: string): boolean {
  return stateRuleOf(directory)?.kind === 'state';
}

/** Whether a file is on a file system that is searched. */
function isSearched({ mounts, systemDisks }: Snapshot, area: SearchArea, path: string): boolean {
  if (area.excluded.some((folder) => isBelow(path, folder))) return false;
  return isOnDisk(mounts.serving(decodeBytes(path)), systemDisks);
}

/** Encodes a name as the other paths here, one character per byte (latin1). */
function asBytes(name: string): string {
  return Buffer.from(name).toString('latin1');
}

function swapFilesOf({ reader }: Snapshot): Set<string> {
  const text = reader.readIfPresent('/proc/swaps', 1024 * 1024) ?? '';
  const swaps = text === '' ? [] : parseSwaps(text);
  return new Set(swaps.filter(({ type }) => type === 'file').map(({ source }) => source));
}
