import { words } from '../config/config.ts';
import type { Disk } from '../facts/disks/disks.ts';
import type { Facts } from '../facts/facts.ts';
import type { Mount, MountTable } from '../facts/mounts/mountinfo.ts';
import { valueOf } from '../facts/observed.ts';

/**
 * The disks that the host must make read-only: those below /, below the other targets of REQUIRE_READONLY, and below mounts
 * in the directories with the programs of the system.
 */
export type SystemDisks = ReturnType<typeof findSystemDisks>;

/** @param ofPrograms the mounts in the directories with the programs of the system that nothing permits otherwise */
export function findSystemDisks(
  facts: Pick<Facts, 'config' | 'mounts'>,
  disks: readonly Disk[],
  ofPrograms: readonly Mount[] = [],
) {
  const required = findRequiredDisks(facts, disks);
  const found = disks.filter(
    (disk) => required.includes(disk) || ofPrograms.some(({ target }) => disk.holds.includes(target)),
  );
  const names = new Set(found.map(({ name }) => name));
  return {
    disks: found,
    /** Whether at least one of the given disks is a system disk. */
    includes: (others: readonly { name: string }[]): boolean => others.some(({ name }) => names.has(name)),
    /**
     * Whether a system disk has a file system at the mount point of a mount. Includes hidden mounts at this mount point.
     */
    holds: (mount: Mount | undefined): boolean =>
      found.some(({ holds }) => mount !== undefined && holds.includes(mount.target)),
  };
}

/** Returns the disks below / and the other targets of REQUIRE_READONLY. */
export function findRequiredDisks(facts: Pick<Facts, 'config' | 'mounts'>, disks: readonly Disk[]): Disk[] {
  return disksBelow(facts, disks, requiredReadOnly(facts));
}

export function requiredReadOnly({ config }: Pick<Facts, 'config'>): string[] {
  return ['/', ...words(config.REQUIRE_READONLY)];
}

function disksBelow(
  { mounts }: Pick<Facts, 'mounts'>,
  disks: readonly Disk[],
  targets: readonly string[],
): Disk[] {
  const serving = targets.map((target) => mounts.serving(target));
  return disks.filter(({ holds }) => serving.some((mount) => mount && holds.includes(mount.target)));
}

/**
 * What enforces read-only on the system disks. `host`: the host on every disk, as reported by the devices. `partial`:
 * the host, but not on every disk. `guest`: only flags of block devices or mounts, which root in the guest can clear.
 * `none`: nothing.
 */
export type Enforcement = 'host' | 'guest' | 'partial' | 'none';

export function decideEnforcement(disks: readonly Disk[], mounts: MountTable): Enforcement {
  const byHost = disks.filter((disk) => disk.hostReadOnly === true);
  if (byHost.length > 0) return byHost.length === disks.length ? 'host' : 'partial';
  const root = mounts.serving('/');
  const mountedReadOnly = root !== undefined && [...root.options, ...root.superOptions].includes('ro');
  return mountedReadOnly || disks.some((disk) => disk.readOnly) ? 'guest' : 'none';
}

/**
 * Returns the targets among / and REQUIRE_READONLY of which the host made every disk read-only. If such a target is
 * mounted read-write, only the mount is writable, not the disk. The result is empty if the disks are unknown.
 */
export function findHostReadOnlyTargets(
  facts: Pick<Facts, 'config' | 'mounts' | 'disks'>,
): ReadonlySet<string> {
  // The mounts may be unreadable, too, which root-write-probe must survive.
  const all = valueOf(facts.disks);
  if (all === undefined) return new Set();
  const targets = requiredReadOnly(facts).filter((target) => {
    const disks = disksBelow(facts, all, [target]);
    return disks.length > 0 && disks.every(({ hostReadOnly }) => hostReadOnly === true);
  });
  return new Set(targets);
}

/** Returns the remedy for a target that is mounted read-write although the host made its disk read-only. */
export function remountRemedy(target: string): string {
  return `The host keeps the disk read-only, but ${target} was remounted read-write in the guest, and writes to ${target} are lost. Find out which process remounted it, then reboot, or run: mount -o remount,ro ${target}.`;
}
