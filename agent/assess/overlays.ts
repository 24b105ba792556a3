import { overlayRefusal } from '../config/overlay-paths.ts';
import type { OverlayRecord } from '../facts/boot/boot-env.ts';
import { type Overlay, overlayAt } from '../facts/boot/overlays.ts';
import type { Facts } from '../facts/facts.ts';
import { type Observed, unwrap } from '../facts/observed.ts';
import type { DecidedMode } from './mode.ts';
import { overlayProblems } from './overlay-mounts.ts';
import type { SystemDisks } from './system-disks.ts';

/** The state of a path of OVERLAY. */
export interface OverlayState extends Pick<Overlay, 'target' | 'options'> {
  /**
   * `overlay`: writable in RAM. `inactive`: nothing is mounted, because this boot is not sealed. `unneeded`: not on the
   * system disk, so there is no overlay. `refused`, `missing`, `failed`: no overlay, for the reason.
   */
  state: 'overlay' | 'inactive' | 'unneeded' | 'refused' | 'missing' | 'failed';
  /** Empty if the state is `overlay` or `inactive`. */
  reason: string;
  /** The disk's own directory; null if there is no overlay. */
  lower: string | null;
  /** The directory with the changes; null if there is no overlay. */
  upper: string | null;
}

type Known = Pick<Facts, 'mounts' | 'disks' | 'bootEnv' | 'overlays'> & {
  systemDisks: Observed<SystemDisks>;
  mode: DecidedMode;
};

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
  const problems = overlayProblems(facts, mount, expected);
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
