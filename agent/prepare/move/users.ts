import { SystemError } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import { isBelow, readMountTable } from '../../facts/mounts/mountinfo.ts';
import { findBacking } from './backing.ts';
import { type HandleOwner, describeHandleOwners, findHandleOwners } from './open-handles.ts';
import { workFolder } from './mounting.ts';
import { type Namespace, type Namespaces, type RegionMount, readNamespaces, unitOf } from './namespaces.ts';
import { type Region, joinPath, regionOf, shownPath } from './region.ts';

/** The users of a directory that do not switch to the new one when it is mounted. */
export interface Users {
  /** Obstacles to the move, one sentence each, with the solution. */
  obstacles: string[];
  /** The obstacles that remain when the processes of `inNamespaces` have ended. */
  lasting: string[];
  /** Processes with a mount namespace of their own in which the old directory would stay. */
  inNamespaces: HandleOwner[];
  /** Processes in namespaces where the directory is read-only. They see the old one until they are restarted. */
  stale: string[];
  owners: HandleOwner[];
}

const shownObstacles = 10;

export async function findUsers(reader: SystemReader, path: string): Promise<Users> {
  const mounts = readMountTable(reader);
  const region = await regionOf(reader, mounts, path);
  const namespaces = readNamespaces(reader, region);
  const { obstacles, stale } = judgeReaches(namespaces, mounts.serving(path)?.id ?? 0);
  const kept = namespaces.kept.map(
    (target) =>
      `A mount namespace without a process is kept at ${target} and may contain ${path}: umount ${target}.`,
  );
  const other = [...(await findBacking(reader, namespaces)), ...kept];
  const describe = (reach: Reach) => describeReach(reader, region, reach);
  return {
    obstacles: firstFew([...obstacles.map(describe), ...other]),
    lasting: firstFew([...obstacles.filter(({ namespace }) => namespace.own).map(describe), ...other]),
    inNamespaces: obstacles
      .filter(({ namespace }) => !namespace.own)
      .map(({ namespace: { pid, name }, path: where }) => ({
        pid,
        name,
        how: `has ${where} in a mount namespace`,
      })),
    stale: [...new Set(stale.map(({ namespace: { who } }) => who))],
    owners: await findHandleOwners(reader, namespaces),
  };
}

/** Finds the processes that have files of the directory open that a path leads to now. */
export async function findOwners(reader: SystemReader, path: string): Promise<HandleOwner[]> {
  const region = await regionOf(reader, readMountTable(reader), path);
  return findHandleOwners(reader, readNamespaces(reader, region));
}

/**
 * Verifies that no process can write to the old directory.
 * @param region the old directory, which is read-only, or covered by another file system
 * @throws SystemError EBUSY naming the writable paths to it, and the processes that have files in it open
 */
export async function expectUnreachable(reader: SystemReader, region: Region, advice: string): Promise<void> {
  const namespaces = readNamespaces(reader, region);
  const reaches = findReaches(namespaces).filter(({ mount }) => mount.writable);
  const problems = firstFew([
    ...reaches.map((reach) => describeReach(reader, region, reach)),
    ...(await findBacking(reader, namespaces)),
  ]);
  expectNone(problems, await findHandleOwners(reader, namespaces), advice);
}

/** Verifies that both lists are empty. @throws SystemError EBUSY with their items and the advice */
export function expectNone(
  obstacles: readonly string[],
  owners: readonly HandleOwner[],
  advice: string,
): void {
  const inUse = owners.length === 0 ? [] : [`In use: ${describeHandleOwners(owners)}.`];
  if (obstacles.length + inUse.length === 0) return;
  throw new SystemError([...obstacles, ...inUse, advice].join(' '), 'EBUSY');
}

function firstFew(sentences: string[]): string[] {
  const more = sentences.length - shownObstacles;
  return more > 0 ? [...sentences.slice(0, shownObstacles), `And ${more} more.`] : sentences;
}

/** A path in a namespace that leads to files of a region, with its mount. */
interface Reach {
  namespace: Namespace;
  mount: RegionMount;
  path: string;
  /** The path below that of the region of the directory or file to which `path` leads. */
  what: string;
  /** Whether the root of the mount is in the region. If false, the mount contains the region. */
  inside: boolean;
}

/**
 * Returns every path that leads to the region, except through mounts of `prepare` itself or mounts that are covered.
 */
export function findReaches({ all, region }: Namespaces): Reach[] {
  return all.flatMap((namespace) =>
    namespace.mounts.flatMap((mount): Reach[] => {
      if (namespace.own && isBelow(mount.target, workFolder)) return [];
      const what = shownPath(region, mount.root);
      const inside = what !== undefined;
      if (!inside && !isBelow(region.root, mount.root)) return [];
      const below = mount.root === '/' ? region.root : region.root.slice(mount.root.length);
      const path = inside ? mount.target : joinPath(mount.target, below);
      if (isCovered(namespace, mount, path)) return [];
      return [{ namespace, mount, path, what: what ?? region.path, inside }];
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
  servingId: number,
): { obstacles: Reach[]; stale: Reach[] } {
  const { region } = namespaces;
  const groups = receivingGroups(namespaces, servingId);
  const known = (group: string | undefined) => group !== undefined && groups.has(group);
  const others = findReaches(namespaces).filter(({ mount }) => {
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
function describeReach(
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
