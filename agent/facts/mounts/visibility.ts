/** The fields of a mount that determine whether it can be reached by a path. */
interface MountNode {
  id: number;
  parent: number;
  target: string;
}

/** Maps the id of a parent and a mount point to the visible mount: the last of several at the same mount point. */
export type Children<Mount> = ReadonlyMap<number, ReadonlyMap<string, Mount>>;

/**
 * Returns the mounts that cannot be reached by any path (path_resolution(7)). Another mount at the same mount point or
 * at a directory above it covers them, or they are mounted over "/", where a process whose root directory is below the
 * mount does not enter them.
 * @param root the root mount of the process
 * @param on the mounts that are not mounted over "/"
 */
export function findHidden<Mount extends MountNode>(
  mounts: readonly Mount[],
  root: Mount | undefined,
  on: Children<Mount>,
): ReadonlySet<Mount> {
  const byId = new Map(mounts.map((mount) => [mount.id, mount]));
  const isCovered = ({ id, target }: Mount) => target !== '/' && on.get(id)?.has(target) === true;
  const entered = new Map<Mount, boolean>(root === undefined ? [] : [[root, true]]);
  const isEntered = (mount: Mount, parent: Mount) => {
    const siblings = on.get(parent.id);
    if (mount.target === '/' || siblings?.get(mount.target) !== mount) return false;
    return mount.target === parent.target || !(isCovered(parent) || hasAbove(siblings, mount, parent));
  };
  for (const mount of mounts) decide(mount, entered, byId, isEntered);
  return new Set(mounts.filter((mount) => entered.get(mount) !== true || isCovered(mount)));
}

/**
 * Decides from the top down whether a path enters a mount and its undecided ancestors. A path never enters mounts that
 * form a cycle.
 */
function decide<Mount extends MountNode>(
  mount: Mount,
  entered: Map<Mount, boolean>,
  byId: ReadonlyMap<number, Mount>,
  isEntered: (mount: Mount, parent: Mount) => boolean,
): void {
  const undecided: Mount[] = [];
  let above: Mount | undefined = mount;
  while (above !== undefined && !entered.has(above)) {
    entered.set(above, false);
    undecided.push(above);
    above = byId.get(above.parent);
  }
  for (const each of undecided.reverse()) {
    entered.set(each, above !== undefined && entered.get(above) === true && isEntered(each, above));
    above = each;
  }
}

/** Whether a sibling is mounted on a directory between the mount point of the parent and the mount point of the mount. */
function hasAbove(
  siblings: ReadonlyMap<string, MountNode>,
  { target }: MountNode,
  parent: MountNode,
): boolean {
  for (let end = target.lastIndexOf('/'); end > 0; end = target.lastIndexOf('/', end - 1)) {
    const above = target.slice(0, end);
    if (above === parent.target) return false;
    if (siblings.has(above)) return true;
  }
  return false;
}
