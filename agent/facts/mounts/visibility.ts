/** The fields of a mount that decide whether a path leads to it. */
interface MountNode {
  id: number;
  parent: number;
  target: string;
}

/**
 * The mounts that no path leads to (path_resolution(7)), since another mount covers them: at the same mount point, at a
 * folder above it, or over "/" itself, which a process whose root is below never enters.
 * @param root the process's root mount
 */
export function findHidden<Mount extends MountNode>(
  mounts: readonly Mount[],
  root: Mount | undefined,
): ReadonlySet<Mount> {
  const byId = new Map(mounts.map((mount) => [mount.id, mount]));
  const on = mountedOn(mounts, root);
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

/** The visible mount by its parent's id and its mount point: of two at the same mount point, the later one. */
function mountedOn<Mount extends MountNode>(
  mounts: readonly Mount[],
  root: Mount | undefined,
): Map<number, Map<string, Mount>> {
  const on = new Map<number, Map<string, Mount>>();
  for (const mount of mounts) {
    if (mount === root) continue;
    const targets = on.get(mount.parent);
    if (targets === undefined) on.set(mount.parent, new Map([[mount.target, mount]]));
    else targets.set(mount.target, mount);
  }
  return on;
}

/**
 * Decides for a mount and its undecided ancestors, from the top down, whether a path enters them; it enters no cycle.
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

/** Whether a sibling is mounted on a folder between the parent's mount point and the mount's own. */
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
