import type { Mount } from './mountinfo.ts';

/**
 * The mounts that no path leads to, since others cover them (path_resolution(7)): on the very same mount point,
 * on a folder above it, or because they are mounted over "/" itself, which nobody enters who has his root below.
 * @param root the process's root mount
 */
export function findHidden(mounts: readonly Mount[], root: Mount | undefined): ReadonlySet<Mount> {
  const byId = new Map(mounts.map((mount) => [mount.id, mount]));
  const targetsOn = new Map<number, Set<string>>();
  for (const mount of mounts) {
    if (mount === root) continue;
    const targets = targetsOn.get(mount.parent);
    if (targets === undefined) targetsOn.set(mount.parent, new Set([mount.target]));
    else targets.add(mount.target);
  }
  const answers = new Map<Mount, boolean>(root === undefined ? [] : [[root, false]]);
  const isCovered = ({ id, parent, target }: Mount): boolean =>
    target === '/' ||
    targetsOn.get(id)?.has(target) === true ||
    hasAbove(targetsOn.get(parent), target, byId.get(parent)?.target);
  for (const mount of mounts) settle(mount, answers, byId, isCovered);
  return new Set(mounts.filter((mount) => answers.get(mount)));
}

/** A mount is hidden with its parent. Up to the first that is known, then down again; a ring is reached by nobody. */
function settle(
  mount: Mount,
  answers: Map<Mount, boolean>,
  byId: ReadonlyMap<number, Mount>,
  isCovered: (mount: Mount) => boolean,
): void {
  const way: Mount[] = [];
  let above: Mount | undefined = mount;
  while (above !== undefined && !answers.has(above)) {
    answers.set(above, true);
    way.push(above);
    above = byId.get(above.parent);
  }
  let hidden: boolean = above !== undefined && answers.get(above) === true;
  for (const each of way.reverse()) {
    hidden ||= isCovered(each);
    answers.set(each, hidden);
  }
}

/** Whether a sibling is mounted on a folder above, on the way from the parent's mount point. */
function hasAbove(siblings: Set<string> | undefined, target: string, parent: string | undefined): boolean {
  if (siblings === undefined) return false;
  for (let end = target.lastIndexOf('/'); end > 0; end = target.lastIndexOf('/', end - 1)) {
    const above = target.slice(0, end);
    if (above === parent) return false;
    if (siblings.has(above)) return true;
  }
  return false;
}
