import type { Disk } from '../facts/disks/disks.ts';
import type { Facts } from '../facts/facts.ts';
import { valueOf } from '../facts/observed.ts';
import type { MountTable } from '../facts/mounts/mountinfo.ts';
import { disksBelow, requiredReadOnly } from './system-disks.ts';

/**
 * What enforces read-only on the system disks. `host`: the host on every disk, as reported by the devices. `partial`:
 * the host, but not on every disk. `guest`: only flags of block devices or mounts, which root in the guest can clear.
 * `none`: nothing.
 */
export type Enforcement = 'host' | 'guest' | 'partial' | 'none';

/** Decides what enforces read-only. @param disks the system disks */
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
  const all = valueOf(facts.disks) ?? [];
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
