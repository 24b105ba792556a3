import { findRecords, prune } from '../../../system/find.ts';
import type { SystemReader } from '../../../system/reader.ts';

/** A file, directory or link whose status changed (ctime, inode(7)). */
export interface Change {
  /** One character per byte (latin1). */
  path: string;
  /** The type that find(1) prints for %y: f, d, l, p, s, b or c. */
  type: string;
  /** The ctime, in seconds since the epoch. */
  at: number;
}

export interface SearchArea {
  /** Where the search begins: mount points and folders. Other file systems below them are not searched. */
  roots: readonly string[];
  /**
   * The roots whose file system records no change of the status: on FAT, the kernel keeps the time of creation as ctime
   * (fs/fat/inode.c). The time of the last write (mtime) decides there.
   */
  withoutCtime: ReadonlySet<string>;
  /** Folders that are not searched. */
  excluded: readonly string[];
}

/** The timeout of each run of find, in milliseconds. */
const limit = 120_000;

/**
 * Finds everything in an area that changed since a point in time, in one walk for each kind of time.
 * @param since seconds since the epoch
 * @param change receives each change as it is found
 * @param progress receives the directory that is searched now
 * @returns the reason why the search is incomplete; undefined if it is complete
 */
export async function searchChanges(
  reader: SystemReader,
  area: SearchArea,
  since: number,
  change: (found: Change) => void,
  progress: (folder: string) => void = () => undefined,
): Promise<string | undefined> {
  const began = Math.floor(since);
  let incomplete: string | undefined;
  for (const usesMtime of [false, true]) {
    const roots = area.roots.filter((root) => area.withoutCtime.has(root) === usesMtime);
    if (roots.length === 0) continue;
    const args = searchArguments(roots, area.excluded, began, usesMtime);
    const ended = await findRecords(reader, args, limit, (record) => {
      const found = parseRecord(record);
      if (typeof found === 'string') progress(found);
      // find prunes only directories, and /home may be a symbolic link.
      else if (found !== undefined && !area.excluded.includes(found.path)) change(found);
    });
    if (ended === 'deadline') incomplete ??= `the search did not end within ${limit / 1000} s`;
    // find also exits with 1 if it cannot read a directory, after it has searched everything else.
    else if (ended !== 'good') incomplete ??= 'find could not read every directory';
  }
  return incomplete;
}

/** Returns the arguments of find(1). */
function searchArguments(
  roots: readonly string[],
  excluded: readonly string[],
  since: number,
  usesMtime: boolean,
): string[] {
  const [newer, time] = usesMtime ? ['-newermt', '%T@'] : ['-newerct', '%C@'];
  // Directories down to three levels are printed as progress.
  const progress = ['-type', 'd', '!', '-path', '/*/*/*/*', '-printf', '%p\\0'];
  const changed = [newer, `@${since}`, '-printf', `${time} %y %p\\0`];
  return [
    ...roots,
    '-ignore_readdir_race',
    '-xdev',
    ...prune(excluded),
    '(',
    ...progress,
    ',',
    ...changed,
    ')',
  ];
}

/** Parses a record. @returns a directory that is searched now; or a change; undefined for a malformed record */
export function parseRecord(record: string): Change | string | undefined {
  if (record.startsWith('/')) return record;
  const first = record.indexOf(' ');
  const at = Number(record.slice(0, first));
  const type = record.slice(first + 1, first + 2);
  const path = record.slice(first + 3);
  if (first < 1 || Number.isNaN(at) || !path.startsWith('/')) return undefined;
  return { path, type, at };
}
