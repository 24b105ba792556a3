import { type PersistItem, persistItems } from '../facts/boot/persist.ts';
import type { Disk } from '../facts/disks/disks.ts';
import type { Facts } from '../facts/facts.ts';
import { isBelow, type Mount, type MountTable, isWritable, optionOf } from '../facts/mounts/mountinfo.ts';
import { type Observed, valueOf } from '../facts/observed.ts';

/** A mount that is part of the remaining attack surface, because it is writable and also executable or persistent. */
export type Foothold = ReturnType<typeof findFootholds>[number];

/**
 * Returns every mount that is writable and executable, or writable and persistent. Includes hidden mounts, because a
 * process may have files on them open. Omits file systems that cannot contain user files.
 */
export function findFootholds({
  mounts,
  disks,
  config,
  scratchDevice,
}: Pick<Facts, 'mounts' | 'disks' | 'config' | 'scratchDevice'>) {
  const items = new Map(persistItems(config).map((item) => [item.path, item]));
  const isHostReadOnly = readOnlyTest(valueOf(disks) ?? []);
  const isPersistent = persistenceTest(mounts, scratchDevice);
  return mounts.all.flatMap((mount) => {
    if (!isWritable(mount) || kernelTypes.has(mount.type) || isHostReadOnly(mount)) return [];
    // Files in /etc decide what runs, whatever the mount options are.
    const inEtc = mount.type === 'overlay' && isBelow(mount.target, '/etc');
    const executable = inEtc || (!mount.options.includes('noexec') && !neverExecuted.has(mount.type));
    const persistent = isPersistent(mount);
    if (!executable && !persistent) return [];
    const hidden = mounts.hidden.has(mount) ? ', hidden below another mount' : '';
    const item = persistent ? items.get(mount.target) : undefined;
    const kinds = [
      ...(executable ? [inEtc ? 'decides what runs' : 'executable'] : []),
      ...(persistent ? ['outlives a reboot'] : []),
      ...(item === undefined ? [] : startKinds(item)),
    ];
    const reason = `${mount.type}, writable, ${kinds.join(', ')}${hidden}`;
    return [
      {
        target: mount.target,
        executable,
        persistent,
        reason,
        /** The instruction to remove the foothold. */
        tighten: inEtc
          ? etcRemedy(mount, persistent)
          : item
            ? tightenKept(item, executable)
            : tighten(mount, executable, persistent),
      },
    ];
  });
}

/**
 * Returns the device of SCRATCH while its file system is mounted: root can write to the device below the encryption, and
 * can read the data again in a later boot, where the new file system has not overwritten it.
 */
export function findRawScratch({
  config,
  mounts,
  scratchDevice,
}: Pick<Facts, 'config' | 'mounts' | 'scratchDevice'>): Foothold[] {
  const mapping = valueOf(scratchDevice);
  if (mapping === undefined || !mounts.all.some(({ device }) => device === mapping)) return [];
  return [
    {
      target: config.SCRATCH_DEVICE || 'SCRATCH_DEVICE',
      ...{ executable: false, persistent: true },
      reason: 'block device, writable, outlives a reboot below the encryption of SCRATCH',
      tighten: 'detach the disk in the host, if no path of SCRATCH is needed',
    },
  ];
}

function startKinds({ options }: PersistItem): string[] {
  if (!options.includes('autostart')) return [];
  return [
    'programs are started from it (PERSIST)',
    ...(options.includes('maintenance')
      ? ['also in maintenance, where they can change the system disk']
      : []),
  ];
}

/** Types of file systems that represent kernel objects and contain no user files. */
export const kernelTypes = new Set([
  ...['proc', 'sysfs', 'devpts', 'cgroup', 'cgroup2', 'securityfs', 'selinuxfs', 'debugfs', 'tracefs'],
  ...['pstore', 'bpf', 'configfs', 'mqueue', 'binfmt_misc', 'autofs', 'rpc_pipefs', 'fusectl', 'nfsd'],
  ...['nsfs', 'resctrl'],
]);
const neverExecuted = new Set(['efivarfs', 'hugetlbfs']);

/**
 * Returns a function that decides whether a mount is on a disk and the host made all its disks read-only. The list of
 * disks contains only mount points, and a mount in memory may hide a mount of a disk at the same mount point, so the
 * function also verifies that the mount itself is on a disk.
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
    if (['tmpfs', 'ramfs', 'devtmpfs', 'hugetlbfs'].includes(mount.type)) return false;
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

function etcRemedy({ target }: Mount, persistent: boolean): string {
  return persistent
    ? `umount ${target}`
    : `remove ${target} from OVERLAY while the disk is writable, and reboot`;
}

/** Returns the instruction for a mount of PERSIST, which is meant to outlive a reboot. */
function tightenKept({ path, options }: PersistItem, executable: boolean): string {
  const startsInMaintenance = options.includes('autostart') && options.includes('maintenance');
  return [
    ...(startsInMaintenance ? [`remove maintenance from ${path} in PERSIST, if it is not needed there`] : []),
    ...(executable ? [`remove exec from ${path} in PERSIST, if no program runs from it`] : []),
    ...(options.includes('autostart') || !executable
      ? [`remove ${path} from PERSIST, if its content need not be kept`]
      : []),
  ].join('; ');
}

function tighten({ target, type }: Mount, executable: boolean, persistent: boolean): string {
  if (type === 'efivarfs') return `mount -o remount,ro ${target}`;
  const isNeeded = target === '/dev' || isBelow(target, '/run');
  return [
    ...(executable
      ? [`mount -o remount,noexec ${target}${isNeeded ? ', if no program runs from it' : ''}`]
      : []),
    ...(persistent ? ['make its disk read-only in the host, or mount a tmpfs at this path'] : []),
  ].join('; ');
}
