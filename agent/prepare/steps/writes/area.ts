import { words } from '../../../config/config.ts';
import { writableOverlays } from '../../../config/overlay-paths.ts';
import { type Mount, isBelow } from '../../../facts/mounts/mountinfo.ts';
import type { SystemDisks } from '../../../assess/system-disks.ts';
import type { Snapshot } from '../../engine/snapshot.ts';
import type { SearchArea } from './search.ts';
import { pathOf } from '../../../config/keys.ts';

/** Folders that are writable and lost at every reboot in a sealed boot. */
const ephemeral: readonly string[] = ['/var', '/tmp', '/run', '/dev', '/proc', '/sys'];
const withoutCtime: readonly string[] = ['vfat', 'msdos'];

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
    ...(homeIsElsewhere ? ['/home'] : []),
    ...words(config.SCRATCH).map(pathOf),
    ...writableOverlays(config),
    ...persistedFolders(config),
  ];
}

/** Returns the paths of PERSIST; none if there is no store, because nothing is kept then. */
export function persistedFolders({ PERSIST, PERSIST_STORE }: Snapshot['config']): string[] {
  return PERSIST_STORE === '' ? [] : words(PERSIST).map(pathOf);
}
