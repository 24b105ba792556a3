import { words } from '../config/config.ts';
import type { Disk } from '../facts/disks/disks.ts';
import type { Facts } from '../facts/facts.ts';
import { unwrap } from '../facts/observed.ts';

export type Enforcement = 'host' | 'guest' | 'partial' | 'none';

/** The disks under what must be read-only: `/` and the other targets of REQUIRE_READONLY. */
export function sealedDisks(facts: Pick<Facts, 'config' | 'mounts' | 'disks'>): Disk[] {
  return disksUnder(facts, ['/', ...words(facts.config.REQUIRE_READONLY)]);
}

function disksUnder({ mounts, disks }: Pick<Facts, 'mounts' | 'disks'>, targets: readonly string[]): Disk[] {
  const serving = targets.map((target) => mounts.serving(target));
  return unwrap(disks).filter(({ holds }) => serving.some((mount) => mount && holds.includes(mount.target)));
}

/** Whether the host keeps all disks under some targets read-only, so that only a mount in the guest can be writable. */
export function isHeldByHost(facts: Pick<Facts, 'mounts' | 'disks'>, targets: readonly string[]): boolean {
  if (!('value' in facts.disks)) return false;
  return targets.every((target) => {
    const disks = disksUnder(facts, [target]);
    return disks.length > 0 && disks.every(({ hostReadOnly }) => hostReadOnly === true);
  });
}

/** What to do about a target that is writable although the host keeps its disk read-only. */
export function remountRemedy(target: string): string {
  return `The host already keeps the disk read-only; ${target} was remounted read-write in the guest, and what is written there is lost. Find out which process did it, then reboot, or run: mount -o remount,ro ${target}.`;
}

/**
 * Who keeps the system's disks read-only. `guest`: nothing but flags that root in the guest could lift,
 * those of block devices or those of mounts.
 */
export function enforcement(facts: Facts): Enforcement {
  if (!('value' in facts.disks)) return 'none';
  const disks = sealedDisks(facts);
  const byHost = disks.filter((disk) => disk.hostReadOnly === true);
  if (byHost.length > 0) return byHost.length === disks.length ? 'host' : 'partial';
  const root = facts.mounts.serving('/');
  const mountedReadOnly = root !== undefined && [...root.options, ...root.superOptions].includes('ro');
  return mountedReadOnly || disks.some((disk) => disk.readOnly) ? 'guest' : 'none';
}
