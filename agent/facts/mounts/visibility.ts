import type { Mount } from './mountinfo.ts';

/**
 * The mounts that no path leads to, since others cover them (path_resolution(7)): on the very same mount point,
 * on a folder above it, or because they are mounted over "/" itself, which nobody enters who has his root below.
 * @param root the process's root mount
 */
export function findHidden(mounts: readonly Mount[], root: Mount | undefined): ReadonlySet<Mount> {
  const byId = new Map(mounts.map((mount) => [mount.id, mount]));
  const on = mountedOn(mounts, root);
  const isCovered = ({ id, target }: Mount) => target !== '/' && on.get(id)?.has(target) === true;
  const entered = new Map<Mount, boolean>(root === undefined ? [] : [[root, true]]);
  const isEntered = (mount: Mount, parent: Mount) => {
    const siblings = on.get(parent.id);
    if (mount.target === '/' || siblings?.get(mount.target) !== mount) return false;
    return mount.target === parent.target || !(isCovered(parent) || hasAbove(siblings, mount, parent));
  };
  for (const mount of mounts) settle(mount, entered, byId, isEntered);
  return new Set(mounts.filter((mount) => entered.get(mount) !== true || isCovered(mount)));
}

/** By the parent's id and the mount point; of two on the same, the later one is seen. */
function mountedOn(mounts: readonly Mount[], root: Mount | undefined): Map<number, Map<string, Mount>> {
  const on = new Map<number, Map<string, Mount>>();
  for (const mount of mounts) {
    if (mount === root) continue;
    const targets = on.get(mount.parent);
    if (targets === undefined) on.set(mount.parent, new Map([[mount.target, mount]]));
    else targets.set(mount.target, mount);
  }
  return on;
}

/** Up to the first mount that is known, then down again; a ring is entered by nobody. */
function settle(
  mount: Mount,
  entered: Map<Mount, boolean>,
  byId: ReadonlyMap<number, Mount>,
  isEntered: (mount: Mount, parent: Mount) => boolean,
): void {
  const way: Mount[] = [];
  let above: Mount | undefined = mount;
  while (above !== undefined && !entered.has(above)) {
    entered.set(above, false);
    way.push(above);
    above = byId.get(above.parent);
  }
  for (const each of way.reverse()) {
    entered.set(each, above !== undefined && entered.get(above) === true && isEntered(each, above));
    above = each;
  }
}

/** Whether a sibling is mounted on a folder above, on the way from the parent's mount point. */
function hasAbove(siblings: ReadonlyMap<string, Mount>, { target }: Mount, parent: Mount): boolean {
  for (let end = target.lastIndexOf('/'); end > 0; end = target.lastIndexOf('/', end - 1)) {
    const above = target.slice(0, end);
    if (above === parent.target) return false;
    if (siblings.has(above)) return true;
  }
  return false;
}
