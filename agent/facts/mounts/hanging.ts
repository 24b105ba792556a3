import type { Mount, MountTable } from './mountinfo.ts';

/** The mounts whose file systems may never respond. */
export interface Hanging {
  isEmpty: boolean;
  /** Returns the visible mount at a mount point if its file system may hang. */
  enteredAt(path: string): Mount | undefined;
}

/** Finds the mounts that may hang. Omits "/", because the agent itself is started from there. */
export function findHanging(mounts: MountTable): Hanging {
  const hangs = hangingTest(mounts);
  const targets = new Set<string>();
  for (const mount of mounts.all) if (mount.target !== '/' && hangs(mount)) targets.add(mount.target);
  return {
    isEmpty: targets.size === 0,
    enteredAt: (path) => {
      if (!targets.has(path)) return undefined;
      const mount = mounts.serving(path);
      return mount !== undefined && mount.target === path && hangs(mount) ? mount : undefined;
    },
  };
}

/** Whether access to a file system may wait for a server or for another process. */
export function mayHang({ type }: Pick<Mount, 'type'>): boolean {
  return /^(nfs4?|cifs|smb3|smbfs|ceph|glusterfs|9p|virtiofs|afs|lustre|gfs2|ocfs2|gpfs|autofs|fuse(blk)?|fuse\..*)$/.test(
    type,
  );
}

/** Upper bound on nested overlays, larger than the limit of the kernel (FILESYSTEM_MAX_STACK_DEPTH). */
const maximumDepth = 10;

/**
 * Returns a function that decides whether the file system of a mount, or a layer of an overlay, may hang. Evaluates
 * each overlay and each type of file system once.
 */
function hangingTest(mounts: MountTable): (mount: Mount) => boolean {
  const types = new Map<string, boolean>();
  // Mounts of the same overlay share one list of options, which serves as the key.
  const overlays = new Map<readonly string[], boolean>();
  const hangs = (mount: Mount, depth = 0): boolean => {
    if (mount.type !== 'overlay') {
      const known = types.get(mount.type) ?? mayHang(mount);
      types.set(mount.type, known);
      return known;
    }
    const known = overlays.get(mount.superOptions);
    if (known !== undefined) return known;
    if (depth > maximumDepth) return true;
    // Set before the layers are evaluated, so that a layer inside the same overlay does not cause endless recursion.
    overlays.set(mount.superOptions, false);
    const found = layers(mount).some((layer) => {
      const serving = mounts.serving(layer);
      return serving !== undefined && serving !== mount && hangs(serving, depth + 1);
    });
    overlays.set(mount.superOptions, found);
    return found;
  };
  return (mount) => hangs(mount);
}

/** Returns the layers of an overlay that have absolute paths (overlayfs.rst). */
function layers({ superOptions }: Mount): string[] {
  return superOptions.flatMap((option) => {
    const [, directories = ''] = /^(?:lowerdir\+?|datadir\+|upperdir)=(.*)$/s.exec(option) ?? [];
    return directories
      .split(/(?<!\\):/)
      .map((directory) => directory.replace(/\\(.)/g, '$1'))
      .filter((directory) => directory.startsWith('/'));
  });
}
