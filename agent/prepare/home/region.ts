import type { SystemReader } from '../../system/reader.ts';
import { isBelow, type MountTable } from '../../facts/mounts/mountinfo.ts';

/**
 * A directory, by its file system and its path in it. A path in a mount namespace is not unique: through a bind mount or in
 * another namespace the directory has other paths, and the path may be another directory.
 */
export interface Region {
  /** "major:minor" of mountinfo and, on Btrfs, of stat(2). */
  devices: ReadonlySet<string>;
  /** From the root of the file system: "/home" if /home is a directory of /. */
  root: string;
}

/** The directory that is /home now. @throws Error if no mount serves it */
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

/** The directory /home of the root's file system, below the mounts on it. */
export function oldHomeRegion(mounts: MountTable): Region {
  const root = mounts.serving('/');
  if (root === undefined) throw new Error('no mount serves /');
  return { devices: new Set([root.device]), root: joinPath(root.root, '/home') };
}

/** Whether a path of the file system is in the region. */
export function isInRegion({ root }: Region, path: string): boolean {
  return isBelow(path, root);
}

/** The path below /home of a path in the region's file system. */
export function homePath({ root }: Region, path: string): string {
  return root === '/' ? joinPath('/home', path) : `/home${path.slice(root.length)}`;
}

/** Both absolute, or the second one empty. */
export function joinPath(before: string, after: string): string {
  const path = `${before}/${after}`.replace(/\/{2,}/g, '/');
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
}

/** stat(1)'s %d as "major:minor" (gnu_dev_major(3)). */
export function deviceNumber(decimal: string): string {
  const device = BigInt(/^\d+$/.test(decimal) ? decimal : 0);
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn);
  const minor = (device & 0xffn) | ((device >> 12n) & 0xffffff00n);
  return `${major}:${minor}`;
}
