import type { Disk } from '../facts/disks/disks.ts';
import type { Facts } from '../facts/facts.ts';
import { isBelow, type Mount, type MountTable } from '../facts/mounts/mountinfo.ts';

/** A mount that is left to an attacker. */
export interface Foothold {
  target: string;
  executable: boolean;
  persistent: boolean;
  reason: string;
  /** What could be done about it. */
  tighten: string;
}

/**
 * Every mount that is writable and executable, and every one that is writable and outlives a reboot, hidden ones
 * too: a process that began below one still has it. File systems that hold no files of anybody's are left out.
 */
export function findFootholds({ mounts, disks }: Pick<Facts, 'mounts' | 'disks'>): Foothold[] {
  const onReadOnly = readOnlyTest('value' in disks ? disks.value : []);
  const outlivesReboot = persistenceTest(mounts);
  return mounts.all.flatMap((mount) => {
    if (!isWritable(mount) || pseudo.has(mount.type) || onReadOnly(mount)) return [];
    const executable = !mount.options.includes('noexec') && !neverExecuted.has(mount.type);
    const persistent = outlivesReboot(mount);
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

/** Whether what is written to a folder outlives a reboot. */
export function persistsAt({ mounts, disks }: Pick<Facts, 'mounts' | 'disks'>, folder: string): boolean {
  const target = mounts.serving(folder)?.target;
  return findFootholds({ mounts, disks }).some((each) => each.persistent && each.target === target);
}

/** They have the kernel's own objects in them, no files that anybody writes (proc(5) /proc/filesystems, nodev). */
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

/** Both the mount and its file system have to be. */
function isWritable({ options, superOptions }: Mount): boolean {
  return options.includes('rw') && !superOptions.includes('ro');
}

/**
 * Whether a mount is on disks that the host made read-only, and on no other. By target, which a mount in memory or on
 * another disk may share with the one that it hides.
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

/** More than the kernel lets lie in one another (FILESYSTEM_MAX_STACK_DEPTH), whatever the paths say. */
const mostLayers = 10;

/** What is in memory only does not; an overlay does what its upper layer does. Anything else is taken to. */
function persistenceTest(mounts: MountTable): (mount: Mount) => boolean {
  // Thousands of mounts of one overlay have the same list of options: each overlay is judged once.
  const overlays = new Map<readonly string[], boolean>();
  const outlivesReboot = (mount: Mount, depth = 0): boolean => {
    if (['tmpfs', 'ramfs', 'devtmpfs', 'hugetlbfs'].includes(mount.type)) return false;
    if (mount.type !== 'overlay') return true;
    const known = overlays.get(mount.superOptions);
    if (known !== undefined) return known;
    if (depth > mostLayers) return true;
    // Before its upper layer is looked at: one that lies in the overlay itself ends there.
    overlays.set(mount.superOptions, true);
    const outlives = upperOutlives(mount, depth);
    overlays.set(mount.superOptions, outlives);
    return outlives;
  };
  const upperOutlives = (mount: Mount, depth: number): boolean => {
    const upper = mount.superOptions
      .find((option) => option.startsWith('upperdir='))
      ?.slice('upperdir='.length);
    if (upper === undefined) return false;
    const below = upper.startsWith('/') ? mounts.serving(upper) : undefined;
    return below === undefined || below === mount || outlivesReboot(below, depth + 1);
  };
  return (mount) => outlivesReboot(mount);
}

function tighten({ target, type }: Mount, executable: boolean, persistent: boolean): string {
  if (type === 'efivarfs') return `mount -o remount,ro ${target}`;
  const isNeeded = target === '/dev' || isBelow(target, '/run');
  return [
    ...(executable
      ? [`mount -o remount,noexec ${target}${isNeeded ? ', if nothing there is run' : ''}`]
      : []),
    ...(persistent ? ['have the host make its disk read-only, or put a tmpfs there'] : []),
  ].join('; ');
}
