import type { Disk } from '../facts/disks/disks.ts';
import type { BootEnv, Mode } from '../facts/boot/boot-env.ts';
import { type Observed, valueOf } from '../facts/observed.ts';
import type { ForeignMount } from './impostors.ts';

export interface DecidedMode {
  mode: Mode;
  reason: string;
  /**
   * Whether `sealed` is requested, by the configuration or by a rehearsal, in which case a writable disk is accepted as
   * sealed.
   */
  forced: boolean;
  /** Undefined unless this boot is a rehearsal. */
  rehearsal?: { limitSeconds: number };
}

/**
 * Decides the mode of this boot. The mode in boot.env applies, with two exceptions, so that root in the guest cannot
 * turn off the checks. With a read-only disk below /, the mode is never `maintenance`, and `off` only on request. A
 * guest that runs from a copy of a disk that the host made read-only is `sealed`. If boot.env does not exist, the disks
 * below / determine the mode, as in the initramfs. If the disks cannot be read, the mode is `sealed`.
 * @param requested the value of the kernel argument, otherwise MODE
 * @param foreignRoot the mount at / if it uses an impostor
 */
export function decideMode(
  requested: string,
  bootEnv: Observed<BootEnv | undefined>,
  disks: Observed<Disk[]>,
  foreignRoot?: ForeignMount,
): DecidedMode {
  const boot = valueOf(bootEnv);
  const forced = requested === 'sealed';
  if (!('value' in disks) && requested !== 'off') {
    return { mode: 'sealed', reason: 'the disks cannot be read', forced };
  }
  const isOff = requested === 'off' && (boot === undefined || boot.mode === 'off');
  if (foreignRoot !== undefined && !isOff) {
    const { device, sealedDevice } = foreignRoot;
    return {
      mode: 'sealed',
      reason: `meant to be sealed, but / is on ${device}, a copy of ${sealedDevice}`,
      forced,
    };
  }
  const readOnly = (valueOf(disks) ?? []).filter(({ holds, readOnly }) => holds.includes('/') && readOnly);
  const plausible =
    boot?.mode === 'sealed' || readOnly.length === 0 || (boot?.mode === 'off' && requested === 'off');
  if (boot !== undefined && plausible) {
    const decided = { mode: boot.mode, reason: boot.reason, forced };
    // With a read-only disk, boot.env is wrong, because the initramfs rehearses only on writable disks.
    const { rehearsal } = boot;
    return rehearsal !== undefined && boot.mode === 'sealed' && readOnly.length === 0
      ? { ...decided, forced: true, rehearsal }
      : decided;
  }
  if (boot === undefined && requested !== 'auto') {
    return { mode: forced ? 'sealed' : 'off', reason: `MODE or kernel argument: ${requested}`, forced };
  }
  const [first] = readOnly;
  if (first === undefined) return { mode: 'maintenance', reason: 'no disk under / is read-only', forced };
  return { mode: 'sealed', reason: `disk ${first.name} is read-only`, forced };
}
