import path from 'node:path';
import type { Facts } from '../facts/facts.ts';
import type { Mount } from '../facts/mounts/mountinfo.ts';
import { type Observed, unwrap } from '../facts/observed.ts';
import type { SystemDisks } from './system-disks.ts';

/** The directories that an overlay of the boot must have. */
export interface Expected {
  target: string;
  /** The lower layer, which is in the read-only mount `view`. */
  lower: string;
  view: string;
  /** The directory of the system that `view` shows. */
  shows: string;
  upper: string;
  work: string;
  /** The mount options that the overlay must have. */
  options: readonly string[];
}

type Known = Pick<Facts, 'mounts' | 'disks'> & { systemDisks: Observed<SystemDisks> };

/** Returns the problems of an overlay: its mount options and its layers. */
export function overlayProblems(facts: Known, mount: Mount, expected: Expected): string[] {
  const { target, lower, view, shows, upper, work, options } = expected;
  const missing = options.filter((option) => !mount.options.includes(option));
  const layers = [`lowerdir=${lower}`, `upperdir=${upper}`, `workdir=${work}`];
  return [
    ...layers
      .filter((option) => !mount.superOptions.includes(option))
      .map((option) => `the overlay on ${target} has no ${option}`),
    ...(missing.length === 0 ? [] : [`${target} lacks ${missing.join(',')}`]),
    ...(mount.options.includes('rw') ? [] : [`${target} is read-only`]),
    ...viewProblems(facts, view, shows),
  ];
}

/**
 * Returns the problems of the mount with a lower layer, which must be mounted read-only, show the directory that the
 * overlay hides, and be on a disk that the guest cannot write to.
 */
function viewProblems(facts: Known, view: string, shows: string): string[] {
  const lower = facts.mounts.serving(view);
  if (lower?.target !== view || !lower.options.includes('ro')) return [`${view} is not mounted read-only`];
  const root = facts.mounts.serving('/');
  // Btrfs is not checked, because all its subvolumes have the same device number, and their names are arbitrary.
  const isOther =
    lower.device === root?.device && lower.type !== 'btrfs' && lower.root !== path.join(root.root, shows);
  if (isOther) return [`${view} shows ${lower.root} of the disk, not ${shows}`];
  // host-enforced verifies the system disks.
  const system = unwrap(facts.systemDisks);
  const disks = unwrap(facts.disks).filter(({ holds }) => holds.includes(view));
  const writable = disks.filter((disk) => !disk.readOnly && !system.includes([disk])).map(({ name }) => name);
  if (disks.length === 0) return [`${view} is not on a disk but ${lower.type} (${lower.source})`];
  return writable.length === 0 ? [] : [`${view} is on ${writable.join(' ')}, which is writable`];
}
