/** The table of mounts, for the agent (mountinfo.ts) and for the boot. */
import { cached } from '../../lib/cached.ts';
import type { Mount } from './mount-lines.ts';
import { type Children, findHidden } from './visibility.ts';

export type MountTable = ReturnType<typeof tableOf>;

/** Returns the table of the mounts of parseMounts. */
export function tableOf(all: readonly Mount[]) {
  const children = childrenOf(all);
  const root = rootMount(all);
  const byTarget = Map.groupBy(all, ({ target }) => target);
  let hidden: ReadonlySet<Mount> | undefined;
  const serving = cached((path: string) => {
    let current = root;
    for (let steps = 0; steps <= all.length; steps++) {
      const next = current && nextOnPath(children.get(current.id), path);
      if (next === undefined) return current;
      current = next;
    }
    throw new Error('mountinfo is not a tree');
  });
  return {
    all,
    /** Returns all mounts at a mount point, including hidden mounts. */
    at: (target: string): readonly Mount[] => byTarget.get(target) ?? [],
    /** The mounts that cannot be reached by any path (`findHidden`). */
    get hidden(): ReadonlySet<Mount> {
      return (hidden ??= findHidden(all, root, children));
    },
    /**
     * Returns the mount that serves a path in this mount namespace. Follows the path as the kernel does (path_resolution(7),
     * fs/namespace.c), so that a mount covered by another mount is not returned. The path starts at the root directory of
     * the process, so a mount that was later made over "/" is not visible. The path is absolute and normalised, without
     * symbolic links.
     */
    serving,
  };
}

/** Returns the first mount at "/" that has no parent in the list or is its own parent. */
function rootMount(mounts: readonly Mount[]): Mount | undefined {
  const ids = new Set(mounts.map(({ id }) => id));
  return mounts.find(({ id, parent, target }) => target === '/' && (parent === id || !ids.has(parent)));
}

function childrenOf(mounts: readonly Mount[]): Children<Mount> {
  const children = new Map<number, Map<string, Mount>>();
  for (const mount of mounts) {
    // A mount over "/" is not visible to a process whose root directory is below it. The initial mount is its own
    // parent.
    if (mount.target === '/' || mount.id === mount.parent) continue;
    const siblings = children.get(mount.parent);
    if (siblings === undefined) children.set(mount.parent, new Map([[mount.target, mount]]));
    else siblings.set(mount.target, mount);
  }
  return children;
}

/** Returns the child mount that is reached first on a path. */
function nextOnPath(children: ReadonlyMap<string, Mount> | undefined, path: string): Mount | undefined {
  if (children === undefined) return undefined;
  for (let end = path.indexOf('/', 1); end !== -1; end = path.indexOf('/', end + 1)) {
    const found = children.get(path.slice(0, end));
    if (found !== undefined) return found;
  }
  return children.get(path);
}

/** Returns the mount that serves a path. @throws Error if none does */
export function servingMount(mounts: MountTable, path: string): Mount {
  const mount = mounts.serving(path);
  if (mount === undefined) throw new Error(`no mount serves ${path}`);
  return mount;
}

/** Returns the value of an option of the file system, unescaped (overlayfs.rst): upperdir=VALUE. */
export function optionOf({ superOptions }: Mount, name: string): string | undefined {
  const option = superOptions.find((each) => each.startsWith(`${name}=`));
  return option?.slice(name.length + 1).replace(/\\(.)/gs, '$1');
}

/**
 * Returns the lower layers of an overlay, which are separated by colons or, since Linux 6.8, each in an option of its own
 * (overlayfs.rst).
 */
export function lowersOf({ superOptions }: Mount): string[] {
  return superOptions.flatMap((option) => {
    const [, directories] = /^(?:lowerdir\+?|datadir\+)=(.*)$/s.exec(option) ?? [];
    return (directories ?? '')
      .split(/(?<!\\):/)
      .filter((each) => each !== '')
      .map((each) => each.replace(/\\(.)/gs, '$1'));
  });
}

/** Whether both the mount and its file system are writable. */
export function isWritable({ options, superOptions }: Mount): boolean {
  return options.includes('rw') && !superOptions.includes('ro');
}
