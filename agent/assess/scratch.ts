import { scratchDisk } from '../facts/boot/kept-paths.ts';
import type { ScratchEntry, ScratchRecord } from '../facts/boot/scratch.ts';
import type { Facts } from '../facts/facts.ts';
import { isWritable, type Mount, type MountTable } from '../facts/mounts/mountinfo.ts';
import { unwrap } from '../facts/observed.ts';
import type { DecidedMode } from './mode.ts';
import { persistenceTest } from './persistence.ts';

/** A path of SCRATCH with where it is now. */
export interface Scratch extends Omit<ScratchRecord, 'state'> {
  path: string;
  /** The options of the path in SCRATCH. */
  options: string[];
  /** `inactive`: the boot is not sealed, so it mounts nothing. */
  state: ScratchRecord['state'] | 'inactive';
}

/**
 * Compares the mount table with SCRATCH. The records of the boot only explain why a path is not on the device.
 * @throws SystemError if a record cannot be read
 */
export function findScratch(
  { scratch, mounts, scratchDevice }: Pick<Facts, 'scratch' | 'mounts' | 'scratchDevice'>,
  { mode }: Pick<DecidedMode, 'mode'>,
): Scratch[] {
  return scratch.map((entry) => ({
    ...{ path: entry.path, options: entry.options },
    ...(mode === 'sealed'
      ? scratchState(entry, mounts, scratchDevice)
      : { state: 'inactive' as const, reason: '', remedy: '' }),
  }));
}

function scratchState(
  { path, record: observed }: ScratchEntry,
  mounts: MountTable,
  scratchDevice: Facts['scratchDevice'],
): ScratchRecord {
  const record = unwrap(observed);
  const failed = (reason: string): ScratchRecord => ({
    state: 'failed',
    reason,
    remedy: "Reboot. If that does not help, see systemctl status 'immutafs-scratch*'.",
  });
  if (record === undefined) return failed('the boot did not try to provide it');
  if (record.state === 'failed') return record;
  const mount = mounts.serving(path);
  if (record.state === 'memory') {
    if (mount !== undefined && !persistenceTest(mounts, scratchDevice)(mount)) return record;
    return failed(`it is no longer in memory: ${describeMount(mount)}`);
  }
  if (record.state === 'read-only') {
    if (mount?.target === path && !isWritable(mount)) return record;
    return failed(`it is no longer mounted read-only: ${describeMount(mount)}`);
  }
  const device = unwrap(scratchDevice);
  if (device === undefined)
    return failed(`the file system at ${scratchDisk} is no longer that of the boot, or its disk is gone`);
  const isUsed =
    mount?.target === path &&
    (mount.type === 'overlay'
      ? mount.superOptions.some((option) => option.startsWith(`upperdir=${scratchDisk}/`))
      : mount.device === device);
  return isUsed ? record : failed('it is no longer mounted from SCRATCH_DEVICE');
}

function describeMount(mount: Mount | undefined): string {
  return mount === undefined
    ? 'no mount serves it'
    : `${mount.type} (${mount.source}) at ${mount.target} serves it`;
}
