import { dirname } from 'node:path';
import type { SystemReader } from '../../system/reader.ts';
import { type Mount, type MountTable, isBelow, readMountTable } from '../../facts/mounts/mountinfo.ts';

/**
 * A directory, identified by its file system and its path in the file system. A path in a mount namespace does not
 * identify a directory: a bind mount or another namespace may give it other paths, and the same path may lead to
 * another directory.
 */
export interface Region {
  /** The path by which messages name the directory, and below which they name its files: "/home". */
  path: string;
  /** The device numbers ("major:minor") of the file system in mountinfo and, on Btrfs, in stat(2). */
  devices: ReadonlySet<string>;
  /** The path from the root of the file system, for example "/home" if /home is a directory of the root file system. */
  root: string;
}

/**
 * Returns the region of the directory that a path leads to now: the root of the mount on it, or a directory of a mount
 * above it.
 * @throws Error if no mount serves the path
 */
export async function regionOf(reader: SystemReader, mounts: MountTable, path: string): Promise<Region> {
  const mount = mounts.serving(path);
  if (mount === undefined) throw new Error(`no mount serves ${path}`);
  const devices = new Set([mount.device]);
  if (mount.type === 'btrfs') {
    // Each subvolume has its own device number, which mountinfo does not show.
    const { stdout } = await reader.run('/usr/bin/stat', ['-c', '%d', path]);
    devices.add(deviceNumber(stdout.trim()));
  }
  return { path, devices, root: joinPath(mount.root, path.slice(mount.target.length)) };
}

/** Returns the region of the directory that the mounts on a path cover. */
export function coveredRegion(reader: SystemReader, path: string): Region {
  const { device, root, target } = mountAbove(readMountTable(reader), path);
  return { path, devices: new Set([device]), root: joinPath(root, path.slice(target.length)) };
}

/** Returns the mount that contains a directory, regardless of the mounts on the directory itself. */
export function mountAbove(mounts: MountTable, path: string): Mount {
  const above = mounts.serving(dirname(path));
  if (above === undefined) throw new Error(`no mount serves ${dirname(path)}`);
  return above;
}

/**
 * Converts a path in the region's file system to a path below the path of the region.
 * @returns undefined if the path is not in the region
 */
export function shownPath({ path, root }: Region, inside: string): string | undefined {
  if (!isBelow(inside, root)) return undefined;
  return root === '/' ? joinPath(path, inside) : `${path}${inside.slice(root.length)}`;
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
