import { formatBytes, decodeBytes } from '../lib/format.ts';
import { escapeUnprintable } from '../lib/unprintable.ts';
import { type Category, categories, categoryOf } from './category.ts';
import type { Change } from './change.ts';
import { formatTime } from './json.ts';

/** The number of changes that are shown for each category. */
const shownEach = 40;
/** The number of directories that are counted separately, before those with the deepest paths are combined. */
const mostDirectories = 4000;
/** The number of directories that are shown. */
const shownDirectories = 40;

interface Counts {
  added: number;
  modified: number;
  deleted: number;
  bytes: number;
}

/**
 * Collects changes for the default view, in limited memory.
 * @param isIgnored whether changes at a path are only counted, unless they are notable (category.ts)
 */
export function summarize(isIgnored: (path: string) => boolean) {
  const notable = new Map<Category, { changes: Change[]; more: number }>(
    categories.map((each) => [each, { changes: [], more: 0 }]),
  );
  const directories = directoryCounts();
  const ignored = directoryCounts();
  let total = 0;
  return {
    add: (change: Change): void => {
      total += 1;
      const category = categoryOf(change);
      const found = category === undefined ? undefined : notable.get(category);
      if (found !== undefined) {
        if (found.changes.length < shownEach) found.changes.push(change);
        else found.more += 1;
      } else {
        (isIgnored(change.path) ? ignored : directories).add(change);
      }
    },
    /** Returns the lines of the view. @param isComplete whether everything could be compared */
    lines: (isComplete: boolean): string[] => {
      const first = [...notable].flatMap(([category, { changes, more }]) => [
        ...changes.sort(byPath).map((change) => `${category.padEnd(10)}  ${describeChange(change)}`),
        ...(more === 0 ? [] : [`${category.padEnd(10)}  and ${more} more: --all lists them`]),
      ]);
      const rest = directories.lines();
      const counted = ignored.total();
      const noise = counted.added + counted.modified + counted.deleted;
      return [
        ...first,
        ...(first.length > 0 && rest.length > 0 ? [''] : []),
        ...rest,
        ...(noise === 0
          ? []
          : [`Not listed: ${describeCounts(counted)} in logs, caches and service state (--ignore).`]),
        total === 0
          ? isComplete
            ? 'Nothing differs from the sealed disk.'
            : 'No change was found, but not everything could be compared.'
          : `${total} ${total === 1 ? 'change' : 'changes'}. --all lists each, --json with every detail.`,
      ];
    },
  };
}

const byPath = (a: Change, b: Change) => (a.path < b.path ? -1 : 1);

/** Formats a change as one line. */
export function describeChange(change: Change): string {
  const { what, from, type, mode, uid, gid, size, mtime, was } = change;
  const details = [
    ...(what.length === 0 || (what.length === 1 && what[0] === 'type') ? [] : [what.join(' ')]),
    ...(was === undefined ? [] : [`was a ${was}`]),
    ...(from === undefined ? [] : [`from ${shownPath(from)}`]),
    `${type === 'file' ? '' : `${type} `}${mode.toString(8).padStart(4, '0')} ${uid}:${gid}`,
    ...(type === 'file' ? [formatBytes(size)] : []),
    formatTime(mtime).replace(/\.\d+Z$/, 'Z'),
    ...(change.capable ? ['capabilities'] : []),
  ];
  return `${change.change.padEnd(8)}  ${shownPath(change.path)}  (${details.join(', ')})`;
}

/** Returns a path in a form that cannot affect a terminal. */
export function shownPath(path: string): string {
  return escapeUnprintable(decodeBytes(path));
}

function directoryCounts() {
  const counts = new Map<string, Counts>();
  let depth = Infinity;
  const combine = (to: number) => {
    depth = to;
    for (const [directory, own] of [...counts]) {
      const parent = cut(directory, depth);
      if (parent === directory) continue;
      counts.delete(directory);
      counts.set(parent, sum(counts.get(parent), own));
    }
  };
  const deepest = () => [...counts.keys()].reduce((most, each) => Math.max(most, depthOf(each)), 1);
  /** Combines the deepest directories until there are at most a number of directories, or all have the least depth. */
  const combineTo = (most: number, least: number) => {
    for (let to = deepest() - 1; counts.size > most && to >= least; to--) combine(to);
  };
  const total = () => [...counts.values()].reduce<Counts>((all, each) => sum(all, each), none);
  return {
    add: (change: Change) => {
      const directory = cut(change.path.slice(0, Math.max(1, change.path.lastIndexOf('/'))), depth);
      counts.set(directory, sum(counts.get(directory), countsOf(change)));
      if (counts.size > mostDirectories) combineTo(mostDirectories, 1);
    },
    total,
    lines: () => {
      combineTo(shownDirectories, 2);
      const sorted = [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
      const lines = sorted
        .slice(0, shownDirectories)
        .map(([directory, own]) => `${shownPath(directory)}  ${describeCounts(own)}`);
      const more = sorted.length - lines.length;
      return more > 0 ? [...lines, `and ${more} more directories: --all lists them`] : lines;
    },
  };
}

const none: Counts = { added: 0, modified: 0, deleted: 0, bytes: 0 };

function countsOf({ change, type, size }: Change): Counts {
  const bytes = type === 'file' && change !== 'deleted' ? size : 0;
  if (change === 'added') return { ...none, added: 1, bytes };
  return change === 'deleted' ? { ...none, deleted: 1, bytes } : { ...none, modified: 1, bytes };
}

function sum(a: Counts | undefined, b: Counts): Counts {
  if (a === undefined) return b;
  return {
    added: a.added + b.added,
    modified: a.modified + b.modified,
    deleted: a.deleted + b.deleted,
    bytes: a.bytes + b.bytes,
  };
}

function describeCounts({ added, modified, deleted, bytes }: Counts): string {
  const parts = Object.entries({ added, modified, deleted }).flatMap(([name, count]) =>
    count === 0 ? [] : [`${count} ${name}`],
  );
  return [...parts, formatBytes(bytes)].join(', ');
}

/** The number of components of an absolute path. */
function depthOf(directory: string): number {
  return directory === '/' ? 0 : directory.split('/').length - 1;
}

/** Returns the first components of a path. */
function cut(directory: string, depth: number): string {
  if (depth === Infinity) return directory;
  return directory
    .split('/')
    .slice(0, depth + 1)
    .join('/');
}
