import type { Disk } from '../facts/disks/disks.ts';
import type { BootEnv, Mode } from '../facts/boot/boot-env.ts';
import type { Misplaced } from './misplaced.ts';
import type { Observed } from '../facts/observed.ts';

export interface DecidedMode {
  mode: Mode;
  reason: string;
  /** A writable disk is meant to be sealed too. */
  forced: boolean;
}

/**
 * What the boot decided counts, except that a boot on a disk that is read-only cannot pass for maintenance,
 * nor for off without being told so, whatever stands in /run. Without the boot's word, the disks under / decide
 * as they do in the initramfs; where they cannot be looked at, the guest is held to be meant sealed. A guest of which
 * the host made a disk read-only is meant to be sealed also where it runs from a copy of that disk, so that root in the
 * guest cannot bring about maintenance.
 * @param intent of the kernel argument, else of MODE
 * @param impostor where / is not mounted from the disk that the host made read-only
 */
export function decideMode(
  intent: string,
  handoff: Observed<BootEnv | undefined>,
  disks: Observed<Disk[]>,
  impostor?: Misplaced,
): DecidedMode {
  const boot = 'value' in handoff ? handoff.value : undefined;
  const forced = intent === 'sealed';
  if (!('value' in disks) && intent !== 'off') {
    return { mode: 'sealed', reason: 'the disks cannot be looked at', forced };
  }
  const isOff = intent === 'off' && (boot === undefined || boot.mode === 'off');
  if (impostor !== undefined && !isOff) {
    const { device, sealedDevice } = impostor;
    return {
      mode: 'sealed',
      reason: `meant to be sealed, but / is on ${device}, a copy of ${sealedDevice}`,
      forced,
    };
  }
  const readOnly = rootDisks(disks).filter((disk) => disk.readOnly);
  const plausible =
    boot?.mode === 'sealed' || readOnly.length === 0 || (boot?.mode === 'off' && intent === 'off');
  if (boot !== undefined && plausible) {
    return { mode: boot.mode, reason: boot.reason, forced };
  }
  if (boot === undefined && intent !== 'auto') {
    return { mode: forced ? 'sealed' : 'off', reason: `MODE or kernel argument: ${intent}`, forced };
  }
  const [first] = readOnly;
  if (first === undefined) return { mode: 'maintenance', reason: 'no disk under / is read-only', forced };
  return { mode: 'sealed', reason: `disk ${first.name} is read-only`, forced };
}

function rootDisks(disks: Observed<Disk[]>): Disk[] {
  return 'value' in disks ? disks.value.filter((disk) => disk.holds.includes('/')) : [];
}
