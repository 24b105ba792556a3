import type { SystemReader } from '../../system/reader.ts';
import { isBelow } from '../../facts/mounts/mountinfo.ts';
import type { RegionMount } from './mount-table.ts';
import { type Namespace, type Namespaces, unitOf } from './namespaces.ts';
import { type Region, homePath, isInRegion, joinPath } from './region.ts';
import { workFolder } from './places.ts';

/** A mount through which files of a region are reached, and the path. */
export interface Reach {
  namespace: Namespace;
  mount: RegionMount;
  /** In the namespace. */
  path: string;
  /** What is mounted there, or is reached there: the path below /home. */
  what: string;
  /** The mount shows a part of the region, not a directory that the region is in. */
  inside: boolean;
}

/** Every way to the region but those of prepare itself. One that another mount covers is none. */
export function findReaches({ all }: Namespaces, region: Region): Reach[] {
  return all.flatMap((namespace) =>
    namespace.mounts.flatMap((mount): Reach[] => {
      if (namespace.own && isBelow(mount.target, workFolder)) return [];
      if (isInRegion(region, mount.root)) {
        if (namespace.covers.has(`${mount.id} ${mount.target}`)) return [];
        return [{ namespace, mount, path: mount.target, what: homePath(region, mount.root), inside: true }];
      }
      if (!isBelow(region.root, mount.root)) return [];
      const below = mount.root === '/' ? region.root : region.root.slice(mount.root.length);
      const path = joinPath(mount.target, below);
      if (isCovered(namespace, mount, path)) return [];
      return [{ namespace, mount, path, what: '/home', inside: false }];
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
 * Splits the ways to /home by what will become of them when another file system is mounted on it.
 * @returns `obstacles`: they would go on leading to the old /home; `stale`: they would too, read-only
 */
export function judgeReaches(
  namespaces: Namespaces,
  region: Region,
  homeId: number,
): { obstacles: Reach[]; stale: Reach[] } {
  const groups = receivingGroups(namespaces, homeId);
  const known = (group: string | undefined) => group !== undefined && groups.has(group);
  const others = findReaches(namespaces, region).filter(({ mount }) => {
    const receives = isBelow(region.root, mount.root) && (known(mount.shared) || known(mount.master));
    return mount.id !== homeId && !receives;
  });
  // Its copies in other namespaces go with it.
  const own = new Set(others.filter(({ namespace }) => namespace.own).map(({ mount }) => mount.shared));
  own.delete(undefined);
  const distinct = others.filter(
    ({ namespace, mount }) => namespace.own || !(own.has(mount.shared) || own.has(mount.master)),
  );
  const isObstacle = ({ namespace, mount }: Reach) => namespace.own || mount.writable;
  return { obstacles: distinct.filter(isObstacle), stale: distinct.filter((reach) => !isObstacle(reach)) };
}

/** Peer groups that get what is mounted on a mount: its own, and those that receive from it in any number of steps. */
function receivingGroups({ all }: Namespaces, homeId: number): ReadonlySet<string> {
  const mounts = all.flatMap((namespace) => namespace.mounts);
  const first = mounts.find(({ id }) => id === homeId)?.shared;
  const groups = new Set<string>(first === undefined ? [] : [first]);
  const byMaster = Map.groupBy(mounts, ({ master }) => master);
  for (const group of groups) {
    for (const { shared } of byMaster.get(group) ?? []) if (shared !== undefined) groups.add(shared);
  }
  return groups;
}

/** A sentence: which way leads to the old /home, and what to do. */
export function describeReach(reader: SystemReader, { namespace, mount, path, what, inside }: Reach): string {
  if (namespace.own) {
    const how = inside ? `is also mounted at ${path}` : `is also reached at ${path}`;
    return `${what} ${how}, which would go on with the old /home: umount ${mount.target}, and mount it again afterwards.`;
  }
  const unit = unitOf(reader, namespace.pid);
  const end = unit === undefined ? 'end it' : `systemctl stop ${unit}`;
  const how = inside ? 'mounted' : 'reached';
  return `${namespace.who} has a mount namespace of its own, in which ${what} is ${how} at ${path}, and would go on with the old /home: ${end}, and start it again afterwards.`;
}
