import type { Disk } from '../facts/disks/disks.ts';
import type { Facts } from '../facts/facts.ts';
import type { MountTable } from '../facts/mounts/mountinfo.ts';
import { disksBelow, requiredReadOnly } from './system-disks.ts';

/**
 * Who keeps the disks of the system read-only. `host`: every disk, by the device's own report; `partial`: the host,
 * but not every disk; `guest`: only flags of block devices or mounts, which root in the guest can clear; `none`.
 */
export type Enforcement = 'host' | 'guest' | 'partial' | 'none';

/** @param disks the disks of the system */
export function decideEnforcement(disks: readonly Disk[], mounts: MountTable): Enforcement {
  const byHost = disks.filter((disk) => disk.hostReadOnly === true);
  if (byHost.length > 0) return byHost.length === disks.length ? 'host' : 'partial';
  const root = mounts.serving('/');
  const mountedReadOnly = root !== undefined && [...root.options, ...root.superOptions].includes('ro');
  return mountedReadOnly || disks.some((disk) => disk.readOnly) ? 'guest' : 'none';
}

/**
 * Those of / and the targets of REQUIRE_READONLY whose disks are all kept read-only by the host. If such a target is
 * writable, only a mount in the guest is. None if the disks are unknown.
 */
export function findHostReadOnlyTargets(
  facts: Pick<Facts, 'config' | 'mounts' | 'disks'>,
): ReadonlySet<string> {
  if (!('value' in facts.disks)) return new Set();
  const { value } = facts.disks;
  const targets = requiredReadOnly(facts).filter((target) => {
    const disks = disksBelow(facts, value, [target]);
    return disks.length > 0 && disks.every(({ hostReadOnly }) => hostReadOnly === true);
  });
  return new Set(targets);
}

/** The remedy for a target that is writable although the host keeps its disk read-only. */
export function remountRemedy(target: string): string {
  return `The host keeps the disk read-only, but ${target} was remounted read-write in the guest, and writes to ${target} are lost. Find out which process remounted it, then reboot, or run: mount -o remount,ro ${target}.`;
}
