import { statePlaceOf } from '../../../services/state-rules.ts';
import type { OpenFile } from '../../engine/processes.ts';
import type { WriteGroup } from '../../engine/step.ts';
import { type Accepted, isAccepted } from '../../../config/accepted.ts';
import { type KnownWriter, knownWriterOf, knownWriters, scriptletFiles } from './writers.ts';
import { type Packages, type Period, isIn } from '../packages.ts';
import type { Change } from './search.ts';

/** The paths, packages and processes that a group lists. The numbers in `count` are complete. */
const listed = 5;
/** The maximum number of groups of unknown writers; further directories are counted in one group. */
const mostGroups = 100;

/** The data by which changes are explained. */
export interface Explanations {
  packages: Packages;
  /** The periods in which `prepare` worked. */
  own: readonly Period[];
  accepted: Accepted;
  /** The files to which the kernel swaps. */
  swapFiles: ReadonlySet<string>;
  openFiles: readonly OpenFile[];
  /** Paths that a known writer will write, although nothing has changed yet. */
  predicted: readonly string[];
}

export interface Grouped {
  groups: WriteGroup[];
  /** The number of changes by package updates, and by `prepare` itself, which are in no group. */
  updates: number;
  own: number;
}

interface Building {
  group: WriteGroup;
  /** The last changes, and some others. */
  newest: { path: string; at: number }[];
}

/**
 * Leaves out the changes that updates and `prepare` made, and groups the others by known writer, or else by directory.
 * A change counts as an update if the owner of the path was being installed at that time; for directories, and for files
 * that scriptlets write, any transaction counts.
 */
export function groupChanges(changes: Iterable<Change>, explanations: Explanations): Grouped {
  const { packages, own } = explanations;
  const open = new Map(explanations.openFiles.map(({ path: file, who }) => [file, who]));
  const building = new Map<string, Building>();
  const result = { updates: 0, own: 0 };
  /** The directories in which something else changed, which explains the change of the directory itself. */
  const explained = new Set<string>();
  const directories: Change[] = [];
  const reported = new Set<string>();
  const add = (change: Change, who: readonly string[] = []) => {
    const owner = packages.ownerOf.get(change.path)?.name;
    addTo(building, change, owner, who, outcomeOf(change, explanations, who.length > 0));
  };
  const report = (change: Change) => {
    reported.add(change.path);
    add(change, open.get(change.path));
    open.delete(change.path);
  };
  const isOther = (change: Change): boolean => {
    if (own.some((period) => isIn(period, change.at))) result.own += 1;
    else if (isUpdate(change, packages)) result.updates += 1;
    else return true;
    return false;
  };
  for (const change of changes) {
    if (change.type === 'd') {
      directories.push(change);
      continue;
    }
    explained.add(parentOf(change.path));
    // A file that is open for writing now has a writer, whoever made the last change.
    if (open.has(change.path) || isOther(change)) report(change);
  }
  // A new subdirectory explains the change of the directory above it.
  for (const { path: each } of directories) explained.add(parentOf(each));
  for (const change of directories) if (!explained.has(change.path) && isOther(change)) report(change);
  for (const [path, who] of open) add({ path, type: 'f', at: 0 }, who);
  const predicted = explanations.predicted.filter((path) => !reported.has(path));
  for (const path of predicted) add({ path, type: 'f', at: 0 });
  return { groups: [...building.values()].map(finished).toSorted(byWeight), ...result };
}

function isUpdate({ path: file, type, at }: Change, { ownerOf, transactions }: Packages): boolean {
  const owner = ownerOf.get(file);
  if (owner !== undefined && isIn(owner.installing, at)) return true;
  if (type !== 'd' && (owner !== undefined || !scriptletFiles.test(file))) return false;
  return transactions.some((period) => isIn(period, at));
}

const swapFile = knownWriters.find(({ id }) => id === 'swap-file');

/** The key of the group of accepted changes. */
const acceptedKey = 'accepted';

interface Outcome {
  key: string;
  writer?: KnownWriter;
  directory?: string;
}

function outcomeOf(
  { path, type, at }: Change,
  { accepted, swapFiles }: Explanations,
  isOpen: boolean,
): Outcome {
  const writer = swapFiles.has(path) ? swapFile : knownWriterOf(path);
  const isBefore = writer === undefined && !isOpen && at <= accepted.until;
  if (isBefore || isAccepted(accepted, path)) return { key: acceptedKey };
  if (writer !== undefined) return { key: `=${writer.id}`, writer };
  const directory = directoryOfChange({ path, type });
  return { key: directory, directory };
}

/** Returns the directory under which a change is reported whose writer is unknown. */
export function directoryOfChange({ path, type }: Pick<Change, 'path' | 'type'>): string {
  // A service that keeps its state outside of /var, such as a database, has a directory of its own.
  const place = statePlaceOf(path, []);
  return place?.rule === undefined ? directoryOf(type === 'd' ? `${path}/.` : path) : place.directory;
}

function addTo(
  building: Map<string, Building>,
  { path, at }: Change,
  owner: string | undefined,
  who: readonly string[],
  outcome: Outcome,
): void {
  const isFull = !building.has(outcome.key) && building.size >= mostGroups;
  const key = isFull ? '/' : outcome.key;
  const found = building.get(key) ?? {
    group: newGroup(isFull ? { ...outcome, directory: '/' } : outcome),
    newest: [],
  };
  building.set(key, found);
  const { group, newest } = found;
  group.count += 1;
  if (owner !== undefined) addListed(group.packages, owner);
  for (const each of who) addListed(group.openBy, each);
  newest.push({ path, at });
  if (newest.length > listed * 20) found.newest = latest(newest);
}

function addListed(list: string[], name: string): void {
  if (list.length < listed && !list.includes(name)) list.push(name);
}

function newGroup({ key, writer, directory }: Outcome): WriteGroup {
  return {
    ...{ writer: writer?.id ?? null, directory: directory ?? null, count: 0, paths: [], newest: null },
    ...{ packages: [], openBy: [], programs: [] },
    blocking: writer?.outcome === 'change',
    outcome: key === acceptedKey ? 'accepted' : (writer?.outcome ?? 'unknown'),
    advice: writer?.advice ?? '',
    source: writer?.source ?? null,
    overlay: writer?.outcome === 'overlay' ? [...(writer.directories ?? [])] : [],
    persist: [],
  };
}

function latest(changes: readonly { path: string; at: number }[]): { path: string; at: number }[] {
  return changes.toSorted((a, b) => b.at - a.at || (a.path < b.path ? -1 : 1)).slice(0, listed);
}

function finished({ group, newest }: Building): WriteGroup {
  const shown = latest(newest);
  const at = shown[0]?.at ?? 0;
  return {
    ...group,
    paths: shown.map(({ path }) => path),
    newest: at > 0 ? new Date(at * 1000).toISOString() : null,
    packages: group.packages.toSorted(),
  };
}

const order = 'change unknown overlay persist harmless maintenance accepted'.split(' ');

function byWeight(one: WriteGroup, other: WriteGroup): number {
  return (
    order.indexOf(one.outcome) - order.indexOf(other.outcome) ||
    other.count - one.count ||
    (one.directory ?? one.writer ?? '').localeCompare(other.directory ?? other.writer ?? '')
  );
}

function parentOf(file: string): string {
  return file.slice(0, Math.max(1, file.lastIndexOf('/')));
}

/** How many components of the path name the directory of an unknown writer. The default is one: /data, /app. */
const depths = new Map(Object.entries({ opt: 2, srv: 2, etc: 2, usr: 3, var: 3, home: 2, boot: 1 }));

/** Returns the directory under which an unknown writer is reported: /opt/agent for /opt/agent/lib/state/1. */
export function directoryOf(file: string): string {
  const folders = file.split('/').slice(1, -1);
  return `/${folders.slice(0, depths.get(folders[0] ?? '') ?? 1).join('/')}`;
}
