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
    const targets = targetsOn.get(mount.parent) ?? new Set();
    targetsOn.set(mount.parent, targets.add(mount.target));
  }
  const answers = new Map<Mount, boolean>();
  const isHidden = (mount: Mount): boolean => {
    const known = answers.get(mount);
    if (known !== undefined) return known;
    // In a table that is no tree, nothing is reached.
    answers.set(mount, true);
    const answer = mount !== root && (mount.target === '/' || isCovered(mount) || isParentHidden(mount));
    answers.set(mount, answer);
    return answer;
  };
  const isCovered = ({ id, parent, target }: Mount): boolean =>
    targetsOn.get(id)?.has(target) === true || hasAbove(targetsOn.get(parent), target, byId.get(parent));
  const isParentHidden = ({ parent }: Mount): boolean => {
    const above = byId.get(parent);
    return above !== undefined && isHidden(above);
  };
  return new Set(mounts.filter(isHidden));
}

/** Whether a sibling is mounted on a folder above, on the way from the parent's mount point. */
function hasAbove(siblings: Set<string> | undefined, target: string, parent: Mount | undefined): boolean {
  if (siblings === undefined) return false;
  for (let end = target.lastIndexOf('/'); end > 0; end = target.lastIndexOf('/', end - 1)) {
    const above = target.slice(0, end);
    if (above === parent?.target) return false;
    if (siblings.has(above)) return true;
  }
  return false;
}
