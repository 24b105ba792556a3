import { words } from '../config.ts';
import type { Disk } from './disks.ts';
import type { Facts } from './facts.ts';
import { seen } from './observed.ts';

export type Enforcement = 'host' | 'guest' | 'partial' | 'none';

/** The disks under what must be read-only: `/` and the other targets of REQUIRE_READONLY. */
export function sealedDisks(facts: Pick<Facts, 'config' | 'mounts' | 'disks'>): Disk[] {
  const mounts = ['/', ...words(facts.config.REQUIRE_READONLY)].map((target) => facts.mounts.serving(target));
  return seen(facts.disks).filter((disk) =>
    mounts.some((mount) => mount && disk.holds.includes(mount.target)),
  );
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
