import type { SystemReader } from '../../system/reader.ts';
import { isBelow, type MountTable } from '../../facts/mounts/mountinfo.ts';

/**
 * A directory, identified by its file system and its path in the file system. A path in a mount namespace does not
 * identify a directory: a bind mount or another namespace may give it other paths, and the same path may lead to
 * another directory.
 */
export interface Region {
  /** The device numbers ("major:minor") of the file system in mountinfo and, on Btrfs, in stat(2). */
  devices: ReadonlySet<string>;
  /** The path from the root of the file system, for example "/home" if /home is a directory of the root file system. */
  root: string;
}

/**
 * Returns the region of the present /home: the root of the mount on /home, or the directory /home of a mount above it.
 * @throws Error if no mount serves /home
 */
export async function homeRegion(reader: SystemReader, mounts: MountTable): Promise<Region> {
  const home = mounts.serving('/home');
  if (home === undefined) throw new Error('no mount serves /home');
  const devices = new Set([home.device]);
  if (home.type === 'btrfs') {
    // Each subvolume has its own device number, which mountinfo does not show.
    const { stdout } = await reader.run('/usr/bin/stat', ['-c', '%d', '/home']);
    devices.add(deviceNumber(stdout.trim()));
  }
  return { devices, root: joinPath(home.root, '/home'.slice(home.target.length)) };
}

/** Returns the directory /home of the root file system, which mounts on /home may cover. */
export function oldHomeRegion(mounts: MountTable): Region {
  const root = mounts.serving('/');
  if (root === undefined) throw new Error('no mount serves /');
  return { devices: new Set([root.device]), root: joinPath(root.root, '/home') };
}

/** Whether a path of the file system is in the region. */
export function isInRegion({ root }: Region, path: string): boolean {
  return isBelow(path, root);
}

/** Converts a path in the region's file system to a path below /home. */
export function homePath({ root }: Region, path: string): string {
  return root === '/' ? joinPath('/home', path) : `/home${path.slice(root.length)}`;
}

/** Joins two absolute paths. The second one may be empty. */
export function joinPath(before: string, after: string): string {
  const path = `${before}/${after}`.replace(/\/{2,}/g, '/');
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
}

/** Converts a decimal device number (%d of stat(1)) to "major:minor" (gnu_dev_major(3)). */
export function deviceNumber(decimal: string): string {
  const device = BigInt(/^\d+$/.test(decimal) ? decimal : 0);
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn);
  const minor = (device & 0xffn) | ((device >> 12n) & 0xffffff00n);
  return `${major}:${minor}`;
}
