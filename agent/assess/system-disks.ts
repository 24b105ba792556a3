import { words } from '../config/config.ts';
import type { Disk } from '../facts/disks/disks.ts';
import type { Facts } from '../facts/facts.ts';
import type { Mount } from '../facts/mounts/mountinfo.ts';

/** The disks that the host makes read-only: those below / and the other targets of REQUIRE_READONLY. */
export interface SystemDisks {
  readonly disks: readonly Disk[];
  /** Whether at least one of some disks is a disk of the system. */
  includes(disks: readonly { name: string }[]): boolean;
  /** Whether a disk of the system has a file system at the mount point of a mount, stacked mounts included. */
  holds(mount: Mount | undefined): boolean;
}

/** @param disks the disks below mounted file systems */
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

/** / and the other targets of REQUIRE_READONLY. */
export function requiredReadOnly({ config }: Pick<Facts, 'config'>): string[] {
  return ['/', ...words(config.REQUIRE_READONLY)];
}

/** The disks below the mounts that serve some targets. */
export function disksBelow(
  { mounts }: Pick<Facts, 'mounts'>,
  disks: readonly Disk[],
  targets: readonly string[],
): Disk[] {
  const serving = targets.map((target) => mounts.serving(target));
  return disks.filter(({ holds }) => serving.some((mount) => mount && holds.includes(mount.target)));
}
