import { type PersistItem, persistItems } from '../facts/boot/kept-paths.ts';
import type { Facts } from '../facts/facts.ts';
import { isBelow, type Mount, isWritable } from '../facts/mounts/mountinfo.ts';
import { valueOf } from '../facts/observed.ts';
import type { PermittedMounts } from './permitted-mounts.ts';

/** A mount that is part of the remaining attack surface, because it is writable and also executable or persistent. */
export type Foothold = ReturnType<typeof findFootholds>[number];

/**
 * Returns every mount that is writable and executable, or writable and persistent. Includes hidden mounts, because a
 * process may have files on them open. Omits file systems that cannot contain user files.
 */
export function findFootholds(
  { mounts, config }: Pick<Facts, 'mounts' | 'config'>,
  { reasonFor, isHostReadOnly, isPersistent }: PermittedMounts,
) {
  const items = new Map(persistItems(config).map((item) => [item.path, item]));
  const isOfKernel = (mount: Mount) => reasonFor(mount, 'persistent')?.id === 'kernel';
  return mounts.all.flatMap((mount) => {
    if (!isWritable(mount) || isOfKernel(mount) || isHostReadOnly(mount)) return [];
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

const neverExecuted = new Set(['efivarfs', 'hugetlbfs']);

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
