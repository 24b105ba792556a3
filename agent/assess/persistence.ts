import type { Disk } from '../facts/disks/disks.ts';
import { type Mount, type MountTable, optionOf } from '../facts/mounts/mountinfo.ts';
import { type Observed, valueOf } from '../facts/observed.ts';

/** Types of file systems that represent kernel objects and contain no user files. */
export const kernelTypes = new Set([
  ...['proc', 'sysfs', 'devpts', 'cgroup', 'cgroup2', 'securityfs', 'selinuxfs', 'debugfs', 'tracefs'],
  ...['pstore', 'bpf', 'configfs', 'mqueue', 'binfmt_misc', 'autofs', 'rpc_pipefs', 'fusectl', 'nfsd'],
  ...['nsfs', 'resctrl', 'cpuset', 'xenfs', 's390_hypfs', 'smackfs', 'ocfs2_dlmfs'],
]);

/**
 * Returns a function that decides whether a mount is on a disk and a condition holds for all its disks. The list of
 * disks contains only mount points, and a mount in memory may hide a mount of a disk at the same mount point, so the
 * function also verifies that the mount itself is on a disk.
 */
export function onDisks(
  disks: readonly Disk[],
  condition: (disk: Disk) => boolean,
): (mount: Mount) => boolean {
  const states = new Map<string, boolean>();
  for (const disk of disks) {
    for (const target of disk.holds) states.set(target, condition(disk) && states.get(target) !== false);
  }
  return (mount) => isOnDisk(mount) && states.get(mount.target) === true;
}

/** Whether a mount has a block device. A Btrfs has an anonymous device number. */
export function isOnDisk({ device, type }: Mount): boolean {
  return !device.startsWith('0:') || type === 'btrfs';
}

/** Upper bound on nested overlays, larger than the limit of the kernel (FILESYSTEM_MAX_STACK_DEPTH). */
const maximumDepth = 10;

/**
 * Returns a function that decides whether data written to a mount survives a reboot: not on a file system in memory or
 * of SCRATCH, on an overlay only if its upper layer survives, and on every other file system.
 * @param scratchDevice see `findScratchDevice`
 */
export function persistenceTest(
  mounts: MountTable,
  scratchDevice: Observed<string | undefined>,
): (mount: Mount) => boolean {
  const scratch = valueOf(scratchDevice);
  // Evaluates each overlay once. The key is the list of options, which all mounts of an overlay share.
  const overlays = new Map<readonly string[], boolean>();
  const isPersistent = (mount: Mount, depth = 0): boolean => {
    if (['tmpfs', 'ramfs', 'rootfs', 'devtmpfs', 'hugetlbfs'].includes(mount.type)) return false;
    if (mount.type !== 'overlay') return mount.device !== scratch;
    const known = overlays.get(mount.superOptions);
    if (known !== undefined) return known;
    if (depth > maximumDepth) return true;
    // Set before the upper layer is evaluated, so that an upper layer inside the same overlay ends the recursion.
    overlays.set(mount.superOptions, true);
    const persistent = isUpperPersistent(mount, depth);
    overlays.set(mount.superOptions, persistent);
    return persistent;
  };
  const isUpperPersistent = (mount: Mount, depth: number): boolean => {
    const upper = optionOf(mount, 'upperdir');
    if (upper === undefined) return false;
    const below = upper.startsWith('/') ? mounts.serving(upper) : undefined;
    return below === undefined || below === mount || isPersistent(below, depth + 1);
  };
  return (mount) => isPersistent(mount);
}
