import { words } from '../../../config/config.ts';
import { pathOf } from '../../../config/keys.ts';
import { writableOverlays } from '../../../config/overlay-paths.ts';
import type { SystemDisks } from '../../../assess/system-disks.ts';
import { type Mount, isBelow } from '../../../facts/mounts/mountinfo.ts';
import { findRecords, prune } from '../../../system/find.ts';
import type { SystemReader } from '../../../system/reader.ts';
import { when } from '../../engine/part.ts';
import type { Snapshot } from '../../engine/snapshot.ts';
import { persistedFolders } from '../persist.ts';

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

/** Folders that are writable and lost at every reboot in a sealed boot. */
const ephemeral = ['/var', '/tmp', '/run', '/dev', '/proc', '/sys'];
const withoutCtime = ['vfat', 'msdos'];

/**
 * Returns the area that the step `writes` searches: every file system of the disks that the host will make read-only,
 * without what is ephemeral or persistent anyway.
 */
export function searchAreaOf(look: Snapshot): SearchArea {
  const excluded = excludedFolders(look);
  const isExcluded = (path: string) => excluded.some((folder) => isBelow(path, folder));
  const { mounts, systemDisks } = look;
  const mounted = mounts.all.filter(
    (mount) => isOnDisk(mount, systemDisks) && !mounts.hidden.has(mount) && !isExcluded(mount.target),
  );
  const searched = mounted.filter((mount) => !mounted.some((other) => shows(other, mount)));
  return {
    roots: [...new Set(searched.map(({ target }) => target))],
    withoutCtime: new Set(
      searched.filter(({ type }) => withoutCtime.includes(type)).map(({ target }) => target),
    ),
    excluded,
  };
}

/** Whether a mount is a file system of a system disk, and not one in memory that is mounted at the same place. */
export function isOnDisk(mount: Mount | undefined, systemDisks: SystemDisks): boolean {
  if (mount === undefined || !systemDisks.holds(mount)) return false;
  return !mount.device.startsWith('0:') || mount.type === 'btrfs';
}

/**
 * Whether a mount shows everything that a different mount shows: a mount of the same file system from the same or a
 * higher folder. Of equal mounts, the first one counts. On btrfs, a search does not enter other subvolumes.
 */
function shows(other: Mount, mount: Mount): boolean {
  if (other === mount || other.device !== mount.device) return false;
  if (other.root === mount.root) return other.id < mount.id;
  return mount.type !== 'btrfs' && isBelow(mount.root, other.root);
}

function excludedFolders({ config, mounts, systemDisks, homeIsSkipped }: Snapshot): string[] {
  const home = mounts.serving('/home');
  // Unless the step is skipped, `home` moves /home to a disk of its own, or reports why it cannot.
  const homeIsElsewhere = !homeIsSkipped || !systemDisks.holds(home);
  return [
    ...ephemeral,
    ...when(homeIsElsewhere, '/home'),
    ...words(config.SCRATCH).map(pathOf),
    ...writableOverlays(config),
    ...persistedFolders(config),
  ];
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
  progress: (folder: string) => void,
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
  const both = ['(', ...progress, ',', ...changed, ')'];
  return [...roots, '-ignore_readdir_race', '-xdev', ...prune(excluded), ...both];
}

/** Parses a record. @returns a directory that is searched now; or a change; undefined for a malformed record */
export function parseRecord(record: string): Change | string | undefined {
  if (record.startsWith('/')) return record;
  const [, at, type, path] = /^(-?\d+(?:\.\d+)?) (.) (\/.*)$/s.exec(record) ?? [];
  return path === undefined || type === undefined ? undefined : { path, type, at: Number(at) };
}
