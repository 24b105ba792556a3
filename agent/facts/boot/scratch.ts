import type { Config } from '../../config/config.ts';
import { decodeBytes } from '../../lib/format.ts';
import { type SystemReader, namesIfThere } from '../../system/reader.ts';
import type { MountTable } from '../mounts/mountinfo.ts';
import { type Observed, observe } from '../observed.ts';
import { directoriesOf } from './layers.ts';
import { type PathRecord, nameInStore, pathItems, readPathRecord } from './persist.ts';

/** Where units/open-scratch mounts the file system of SCRATCH_DEVICE. */
export const scratchDisk = '/run/immutafs/scratch-disk';
/** Where units/open-scratch records which device it has opened. */
export const scratchDeviceRecord = '/run/immutafs/scratch-device';
/** Where units/mount-scratch records the outcome for each path. */
export const scratchRecords = '/run/immutafs/scratch';

/** A path of SCRATCH with the outcome in this boot. */
export interface ScratchEntry {
  path: string;
  /** exec, suid, dev, required, empty, copy */
  options: string[];
  /** undefined if the boot did not try to provide the path. */
  record: Observed<ScratchRecord | undefined>;
}

/** `failed`: the path is as without SCRATCH. */
const states = ['disk', 'memory', 'read-only', 'failed'] as const;
export type ScratchRecord = PathRecord<(typeof states)[number]>;

/** Reads the outcome for each path of SCRATCH. Reads nothing if SCRATCH is empty. */
export function readScratchEntries(
  reader: SystemReader,
  { SCRATCH }: Pick<Config, 'SCRATCH'>,
): ScratchEntry[] {
  return pathItems(SCRATCH).map((item) => ({
    ...item,
    record: observe(() =>
      readPathRecord(reader, `${scratchRecords}/${nameInStore(item.path)}`, 'mount-scratch', states),
    ),
  }));
}

/**
 * Returns the device, as "major:minor", of the file system of SCRATCH_DEVICE, whose content no reboot survives: its key is
 * lost then, and a boot makes a new file system before it mounts the device. Root can give the name of the mapping to another
 * device, so the mapping must be on the device that the boot has opened.
 *
 * @returns undefined if it is not mounted, or if its mapping is on another device or on a disk that is gone
 */
export function findScratchDevice(reader: SystemReader, mounts: MountTable): string | undefined {
  const mount = mounts.serving(scratchDisk);
  if (mount?.target !== scratchDisk) return undefined;
  const record = reader.readRecord(scratchDeviceRecord, 'root', 65536);
  const [, opened] = /^DEVICE=(\d+:\d+)$/m.exec(decodeBytes(record ?? '')) ?? [];
  const below = namesIfThere(reader, `/sys/dev/block/${mount.device}/slaves`).map((name) =>
    reader.readIfPresent(`/sys/class/block/${name}/dev`)?.trim(),
  );
  return below.length === 1 && below[0] === opened ? mount.device : undefined;
}

/** Returns the upper layers of the paths of SCRATCH for which units/mount-scratch has mounted an overlay in memory. */
export function scratchInMemory(
  { SCRATCH }: Pick<Config, 'SCRATCH'>,
  mounts: MountTable,
): { target: string; upper: string }[] {
  return pathItems(SCRATCH)
    .map(({ path }) => ({ target: path, upper: directoriesOf(path).upper }))
    .filter(({ target, upper }) => {
      const mount = mounts.serving(target);
      return mount?.target === target && mount.superOptions.includes(`upperdir=${upper}`);
    });
}
