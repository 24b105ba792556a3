import type { SystemReader } from '../../system/reader.ts';
import { isBelow, type MountTable } from '../../facts/mounts/mountinfo.ts';

/**
 * A directory by its place in its file system. Paths say less: the same directory has other paths through a bind mount
 * or in another mount namespace, and the same path may be another directory.
 */
export interface Region {
  /** "major:minor" in mountinfo and, on Btrfs, as stat(2) has it. */
  devices: ReadonlySet<string>;
  /** From the root of the file system on: "/home" where /home is a directory of /. */
  root: string;
}

/** What is /home now. @throws Error without a mount that serves it */
export async function homeRegion(reader: SystemReader, mounts: MountTable): Promise<Region> {
  const home = mounts.serving('/home');
  if (home === undefined) throw new Error('no mount serves /home');
  const devices = new Set([home.device]);
  if (home.type === 'btrfs') {
    // Each subvolume has a device number of its own, which mountinfo does not show.
    const { stdout } = await reader.run('/usr/bin/stat', ['-c', '%d', '/home']);
    devices.add(deviceNumber(stdout.trim()));
  }
  return { devices, root: joinPath(home.root, '/home'.slice(home.target.length)) };
}

/** The directory /home below what is mounted on it. */
export function oldHomeRegion(mounts: MountTable): Region {
  const root = mounts.serving('/');
  if (root === undefined) throw new Error('no mount serves /');
  return { devices: new Set([root.device]), root: joinPath(root.root, '/home') };
}

/** Whether a path of the file system is in the region. */
export function isInRegion({ root }: Region, path: string): boolean {
  return isBelow(path, root);
}

/** A path of the region's file system as it is below /home. */
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
