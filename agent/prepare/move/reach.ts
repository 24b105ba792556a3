import type { SystemReader } from '../../system/reader.ts';
import { isBelow } from '../../facts/mounts/mountinfo.ts';
import type { RegionMount } from './mount-table.ts';
import { type Namespace, type Namespaces, unitOf } from './namespaces.ts';
import { type Region, shownPath, isInRegion, joinPath } from './region.ts';
import { workFolder } from './mounting.ts';

/** A path in a namespace that leads to files of a region, with its mount. */
export interface Reach {
  namespace: Namespace;
  mount: RegionMount;
  /** The path in the namespace. */
  path: string;
  /** The path below that of the region of the directory or file to which `path` leads. */
  what: string;
  /** Whether the root of the mount is in the region. If false, the mount contains the region. */
  inside: boolean;
}

/**
 * Returns every path that leads to the region, except through mounts of `prepare` itself or mounts that are covered.
 */
export function findReaches({ all }: Namespaces, region: Region): Reach[] {
  return all.flatMap((namespace) =>
    namespace.mounts.flatMap((mount): Reach[] => {
      if (namespace.own && isBelow(mount.target, workFolder)) return [];
      if (isInRegion(region, mount.root)) {
        if (namespace.covers.has(`${mount.id} ${mount.target}`)) return [];
        return [{ namespace, mount, path: mount.target, what: shownPath(region, mount.root), inside: true }];
      }
      if (!isBelow(region.root, mount.root)) return [];
      const below = mount.root === '/' ? region.root : region.root.slice(mount.root.length);
      const path = joinPath(mount.target, below);
      if (isCovered(namespace, mount, path)) return [];
      return [{ namespace, mount, path, what: region.path, inside: false }];
    }),
  );
}

function isCovered({ covers }: Namespace, { id, target }: RegionMount, path: string): boolean {
  for (let each = path; ; each = each.slice(0, each.lastIndexOf('/')) || '/') {
    if (covers.has(`${id} ${each}`)) return true;
    if (each === target || each === '/') return false;
  }
}

/**
 * Finds the paths that will still lead to the region after another file system has been mounted on its path.
 * @param servingId the ID of the mount that serves the path of the region now
 * @returns `obstacles`: paths that are in our own namespace or writable; `stale`: read-only paths in other namespaces
 */
export function judgeReaches(
  namespaces: Namespaces,
  region: Region,
  servingId: number,
): { obstacles: Reach[]; stale: Reach[] } {
  const groups = receivingGroups(namespaces, servingId);
  const known = (group: string | undefined) => group !== undefined && groups.has(group);
  const others = findReaches(namespaces, region).filter(({ mount }) => {
    const receives = isBelow(region.root, mount.root) && (known(mount.shared) || known(mount.master));
    return mount.id !== servingId && !receives;
  });
  // If the administrator unmounts a mount of our namespace, the unmount propagates to its copies in other namespaces.
  const own = new Set(others.filter(({ namespace }) => namespace.own).map(({ mount }) => mount.shared));
  own.delete(undefined);
  const distinct = others.filter(
    ({ namespace, mount }) => namespace.own || !(own.has(mount.shared) || own.has(mount.master)),
  );
  const isObstacle = ({ namespace, mount }: Reach) => namespace.own || mount.writable;
  return { obstacles: distinct.filter(isObstacle), stale: distinct.filter((reach) => !isObstacle(reach)) };
}

/** Returns the peer groups that receive mounts made on a mount: its own group and all slaves (mount_namespaces(7)). */
function receivingGroups({ all }: Namespaces, servingId: number): ReadonlySet<string> {
  const mounts = all.flatMap((namespace) => namespace.mounts);
  const first = mounts.find(({ id }) => id === servingId)?.shared;
  const groups = new Set<string>(first === undefined ? [] : [first]);
  const byMaster = Map.groupBy(mounts, ({ master }) => master);
  for (const group of groups) {
    for (const { shared } of byMaster.get(group) ?? []) if (shared !== undefined) groups.add(shared);
  }
  return groups;
}

/** Describes a path that leads to the region, with the solution. */
export function describeReach(
  reader: SystemReader,
  region: Region,
  { namespace, mount, path, what, inside }: Reach,
): string {
  if (namespace.own) {
    const how = inside ? `is also mounted at ${path}` : `is also reached at ${path}`;
    return `${what} ${how}, which would still be the old ${region.path}: umount ${mount.target}, and mount it again afterwards.`;
  }
  const unit = unitOf(reader, namespace.pid);
  const end = unit === undefined ? 'end it' : `systemctl stop ${unit}`;
  const how = inside ? 'mounted' : 'reached';
  return `${namespace.who} has a mount namespace of its own, in which ${what} is ${how} at ${path}, and would continue to use the old ${region.path}: ${end}, and start it again afterwards.`;
}
