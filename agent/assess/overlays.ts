import path from 'node:path';
import { isSeedOverlay, overlayRefusal } from '../config/overlay-paths.ts';
import type { OverlayRecord } from '../facts/boot/boot-env.ts';
import { type Overlay, overlayAt } from '../facts/boot/overlays.ts';
import type { Facts } from '../facts/facts.ts';
import { type Observed, unwrap } from '../facts/observed.ts';
import type { DecidedMode } from './mode.ts';
import type { SystemDisks } from './system-disks.ts';
import type { Mount } from '../facts/mounts/mountinfo.ts';

/** The state of a path of OVERLAY. */
export interface OverlayState extends Pick<Overlay, 'target' | 'options'> {
  /**
   * `overlay`: in RAM; writable, except on /etc with SEED=host. `inactive`: nothing is mounted, because this boot is not
   * sealed. `unneeded`: not on the system disk, so there is no overlay. `refused`, `missing`, `failed`: no overlay, for the
   * reason.
   */
  state: 'overlay' | 'inactive' | 'unneeded' | 'refused' | 'missing' | 'failed';
  /** Empty if the state is `overlay` or `inactive`. */
  reason: string;
  /** The disk's own directory; null if there is no overlay. */
  lower: string | null;
  /** The directory with the changes; null if there is no overlay. */
  upper: string | null;
}

type Disks = Pick<Facts, 'mounts' | 'disks'> & { systemDisks: Observed<SystemDisks> };
type Known = Disks & Pick<Facts, 'bootEnv' | 'config' | 'overlays'> & { mode: DecidedMode };

/**
 * Determines the state of each path of OVERLAY. An overlay is judged by the mount table; the boot record only supplies
 * the reason why there is none.
 */
export function assessOverlays(facts: Known): OverlayState[] {
  return unwrap(facts.overlays).map((overlay) => {
    const { target, options } = overlay;
    const none = { target, options, lower: null, upper: null };
    const refusal = overlayRefusal(target);
    if (refusal !== undefined) return { ...none, state: 'refused', reason: refusal };
    if (facts.mode.mode !== 'sealed') return { ...none, state: 'inactive', reason: '' };
    return { ...none, ...stateOf(facts, overlay) };
  });
}

type State = Pick<OverlayState, 'state' | 'reason'> & Partial<Pick<OverlayState, 'lower' | 'upper'>>;

function stateOf(facts: Known, { target, options, upper, work, lower }: Overlay): State {
  const mount = overlayAt(facts.mounts, target);
  if (mount === undefined) return withoutOverlay(facts, target);
  if (lower === undefined) {
    return { state: 'failed', reason: 'the overlay has another lower layer than the boot gave it' };
  }
  const { directory, view, shows } = lower;
  const expected = { target, lower: directory, view, shows, upper, work, options };
  const mayBeReadOnly = isSeedOverlay(facts.config, target);
  const problems = overlayProblems(facts, mount, { ...expected, mayBeReadOnly });
  if (problems.length > 0) return { state: 'failed', reason: problems.join('; ') };
  return { state: 'overlay', reason: '', lower: directory, upper };
}

function withoutOverlay(facts: Known, target: string): State {
  const record = unwrap(facts.bootEnv)?.overlays.find((each) => each.target === target);
  const { state, reason } = explain(record);
  if (state !== 'unneeded') return { state, reason };
  // The record must not hide that programs cannot write there.
  const onSystemDisk = unwrap(facts.systemDisks).holds(facts.mounts.serving(target));
  return onSystemDisk
    ? { state: 'failed', reason: 'it is on the system disk and has no overlay' }
    : { state, reason };
}

function explain(record: OverlayRecord | undefined): State {
  const failed = (reason: string): State => ({ state: 'failed', reason });
  switch (record?.state) {
    case undefined:
      return failed('the boot did not examine it: the initramfs has the hook of an earlier version, or none');
    case 'overlay':
      return failed('it is no longer an overlay');
    case 'deferred':
      return failed("late boot did not mount it (see journalctl -u 'immutafs-var@*')");
    case 'begun':
      return failed("its assembly was started and not finished (see journalctl -u 'immutafs-var@*')");
    case 'refused':
    case 'missing':
    case 'unneeded':
    case 'failed':
      return { state: record.state, reason: record.reason };
  }
}

/** The directories that an overlay of the boot must have. */
interface Expected {
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
  /** Whether the overlay is permitted to be read-only. */
  mayBeReadOnly?: boolean;
}

export function overlayProblems(facts: Disks, mount: Mount, expected: Expected): string[] {
  const { target, lower, view, shows, upper, work, options, mayBeReadOnly = false } = expected;
  const missing = options.filter((option) => !mount.options.includes(option));
  const layers = [`lowerdir=${lower}`, `upperdir=${upper}`, `workdir=${work}`];
  return [
    ...layers
      .filter((option) => !mount.superOptions.includes(option))
      .map((option) => `the overlay on ${target} has no ${option}`),
    ...(missing.length === 0 ? [] : [`${target} lacks ${missing.join(',')}`]),
    ...(mount.options.includes('rw') || mayBeReadOnly ? [] : [`${target} is read-only`]),
    ...viewProblems(facts, view, shows),
  ];
}

/**
 * Returns the problems of the mount with a lower layer, which must be mounted read-only, show the directory that the
 * overlay hides, and be on a disk that the guest cannot write to.
 */
function viewProblems(facts: Disks, view: string, shows: string): string[] {
  const lower = facts.mounts.serving(view);
  if (lower?.target !== view || !lower.options.includes('ro')) return [`${view} is not mounted read-only`];
  const root = facts.mounts.serving('/');
  const isOther = lower.device === root?.device && lower.root !== path.join(root.root, shows);
  if (isOther) return [`${view} shows ${lower.root} of the disk, not ${shows}`];
  // host-enforced verifies the system disks.
  const system = unwrap(facts.systemDisks);
  const disks = unwrap(facts.disks).filter(({ holds }) => holds.includes(view));
  const writable = disks.filter((disk) => !disk.readOnly && !system.includes([disk])).map(({ name }) => name);
  if (disks.length === 0) return [`${view} is not on a disk but ${lower.type} (${lower.source})`];
  return writable.length === 0 ? [] : [`${view} is on ${writable.join(' ')}, which is writable`];
}
