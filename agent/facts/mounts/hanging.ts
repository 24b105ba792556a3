import type { Mount, MountTable } from './mountinfo.ts';

/** The mounts of file systems that may never respond. */
export interface Hanging {
  isEmpty: boolean;
  /** The visible mount at a mount point, if its file system may hang. */
  enteredAt(path: string): Mount | undefined;
}

/** The root itself is left out: the agent is started from it. */
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

/** Whether a file system waits for a server or for a process of the guest. */
export function mayHang({ type }: Pick<Mount, 'type'>): boolean {
  return /^(nfs4?|cifs|smb3|smbfs|ceph|glusterfs|9p|virtiofs|afs|lustre|gfs2|ocfs2|gpfs|autofs|fuse(blk)?|fuse\..*)$/.test(
    type,
  );
}

/** More than the kernel's maximum for nested overlays (FILESYSTEM_MAX_STACK_DEPTH). */
const maximumDepth = 10;

/** Whether a mount's file system or a layer of it may hang. Each overlay and each type is evaluated once. */
function hangingTest(mounts: MountTable): (mount: Mount) => boolean {
  const types = new Map<string, boolean>();
  // Mounts of the same file system have the same list of options.
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
    // Set before the layers are evaluated, so that a layer inside the overlay itself ends the recursion.
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

/** The layers of an overlay whose paths are absolute (overlayfs.rst). */
function layers({ superOptions }: Mount): string[] {
  return superOptions.flatMap((option) => {
    const [, folders = ''] = /^(?:lowerdir\+?|datadir\+|upperdir)=(.*)$/s.exec(option) ?? [];
    return folders
      .split(/(?<!\\):/)
      .map((folder) => folder.replace(/\\(.)/g, '$1'))
      .filter((folder) => folder.startsWith('/'));
  });
}
