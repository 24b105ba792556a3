import type { Disk } from '../facts/disks/disks.ts';
import type { Facts } from '../facts/facts.ts';
import { isBelow, type Mount, type MountTable } from '../facts/mounts/mountinfo.ts';

/** A mount that is part of the remaining attack surface: writable, and executable or persistent. */
export interface Foothold {
  target: string;
  executable: boolean;
  persistent: boolean;
  reason: string;
  /** How to remove it. */
  tighten: string;
}

/**
 * Every mount that is writable and executable, or writable and persistent. Hidden mounts count too: a process may
 * have one of them open. File systems without user files are left out.
 */
export function findFootholds({ mounts, disks }: Pick<Facts, 'mounts' | 'disks'>): Foothold[] {
  const isHostReadOnly = readOnlyTest('value' in disks ? disks.value : []);
  const isPersistent = persistenceTest(mounts);
  return mounts.all.flatMap((mount) => {
    if (!isWritable(mount) || pseudo.has(mount.type) || isHostReadOnly(mount)) return [];
    const executable = !mount.options.includes('noexec') && !neverExecuted.has(mount.type);
    const persistent = isPersistent(mount);
    if (!executable && !persistent) return [];
    const hidden = mounts.hidden.has(mount) ? ', hidden below another mount' : '';
    const kinds = [...(executable ? ['executable'] : []), ...(persistent ? ['outlives a reboot'] : [])];
    const reason = `${mount.type}, writable, ${kinds.join(', ')}${hidden}`;
    return [
      {
        target: mount.target,
        executable,
        persistent,
        reason,
        tighten: tighten(mount, executable, persistent),
      },
    ];
  });
}

/** File systems of kernel objects, without user files (proc(5) /proc/filesystems, nodev). */
const pseudo = new Set([
  ...[
    'proc',
    'sysfs',
    'devpts',
    'cgroup',
    'cgroup2',
    'securityfs',
    'selinuxfs',
    'debugfs',
    'tracefs',
    'pstore',
  ],
  ...[
    'bpf',
    'configfs',
    'mqueue',
    'binfmt_misc',
    'autofs',
    'rpc_pipefs',
    'fusectl',
    'nfsd',
    'nsfs',
    'resctrl',
  ],
]);
const neverExecuted = new Set(['efivarfs', 'hugetlbfs']);

/** The mount and its file system must both be writable. */
function isWritable({ options, superOptions }: Mount): boolean {
  return options.includes('rw') && !superOptions.includes('ro');
}

/**
 * Whether a mount is only on disks that the host made read-only. Disks name targets, and a mount in memory may have
 * the same target as the mount that it hides, so the mount must also be on a disk.
 */
function readOnlyTest(disks: readonly Disk[]): (mount: Mount) => boolean {
  const states = new Map<string, boolean>();
  for (const { holds, hostReadOnly } of disks) {
    for (const target of holds) {
      states.set(target, hostReadOnly === true && states.get(target) !== false);
    }
  }
  return ({ device, type, target }) => {
    const onDisk = !device.startsWith('0:') || type === 'btrfs';
    return onDisk && states.get(target) === true;
  };
}

/** More than the kernel's maximum for nested overlays (FILESYSTEM_MAX_STACK_DEPTH). */
const maximumDepth = 10;

/** Whether writes to a mount survive a reboot: not in memory, and in an overlay as in its upper layer; else yes. */
function persistenceTest(mounts: MountTable): (mount: Mount) => boolean {
  // Each overlay is evaluated once: thousands of its mounts may share the same list of options.
  const overlays = new Map<readonly string[], boolean>();
  const isPersistent = (mount: Mount, depth = 0): boolean => {
    if (['tmpfs', 'ramfs', 'devtmpfs', 'hugetlbfs'].includes(mount.type)) return false;
    if (mount.type !== 'overlay') return true;
    const known = overlays.get(mount.superOptions);
    if (known !== undefined) return known;
    if (depth > maximumDepth) return true;
    // Set before the upper layer is evaluated, so that an upper layer inside the overlay itself ends the recursion.
    overlays.set(mount.superOptions, true);
    const persistent = isUpperPersistent(mount, depth);
    overlays.set(mount.superOptions, persistent);
    return persistent;
  };
  const isUpperPersistent = (mount: Mount, depth: number): boolean => {
    const upper = mount.superOptions
      .find((option) => option.startsWith('upperdir='))
      ?.slice('upperdir='.length);
    if (upper === undefined) return false;
    const below = upper.startsWith('/') ? mounts.serving(upper) : undefined;
    return below === undefined || below === mount || isPersistent(below, depth + 1);
  };
  return (mount) => isPersistent(mount);
}

function tighten({ target, type }: Mount, executable: boolean, persistent: boolean): string {
  if (type === 'efivarfs') return `mount -o remount,ro ${target}`;
  const isNeeded = target === '/dev' || isBelow(target, '/run');
  return [
    ...(executable
      ? [`mount -o remount,noexec ${target}${isNeeded ? ', if no program runs from it' : ''}`]
      : []),
    ...(persistent ? ['have the host make its disk read-only, or put a tmpfs there'] : []),
  ].join('; ');
}
