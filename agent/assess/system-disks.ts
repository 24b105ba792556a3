import { words } from '../config/config.ts';
import type { Disk } from '../facts/disks/disks.ts';
import type { Facts } from '../facts/facts.ts';
import type { Mount } from '../facts/mounts/mountinfo.ts';

/** The disks that the host must make read-only: those below / and below the other targets of REQUIRE_READONLY. */
export interface SystemDisks {
  readonly disks: readonly Disk[];
  /** Whether at least one of the given disks is a system disk. */
  includes(disks: readonly { name: string }[]): boolean;
  /**
   * Whether a system disk has a file system at the mount point of a mount. Includes hidden mounts at this mount point.
   */
  holds(mount: Mount | undefined): boolean;
}

/** Finds the system disks. @param disks the disks below all mounted file systems */
export function findSystemDisks(
  facts: Pick<Facts, 'config' | 'mounts'>,
  disks: readonly Disk[],
): SystemDisks {
  const found = disksBelow(facts, disks, requiredReadOnly(facts));
  const names = new Set(found.map(({ name }) => name));
  return {
    disks: found,
    includes: (others) => others.some(({ name }) => names.has(name)),
    holds: (mount) => found.some(({ holds }) => mount !== undefined && holds.includes(mount.target)),
  };
}

/** Returns / and the targets of REQUIRE_READONLY. */
export function requiredReadOnly({ config }: Pick<Facts, 'config'>): string[] {
  return ['/', ...words(config.REQUIRE_READONLY)];
}

/** Returns the disks below the mounts that serve the targets. */
export function disksBelow(
  { mounts }: Pick<Facts, 'mounts'>,
  disks: readonly Disk[],
  targets: readonly string[],
): Disk[] {
  const serving = targets.map((target) => mounts.serving(target));
  return disks.filter(({ holds }) => serving.some((mount) => mount && holds.includes(mount.target)));
}
