import type { Config } from '../../config/config.ts';
import { decodeBytes } from '../../lib/format.ts';
import { namesIfThere } from '../../system/names.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { MountTable } from '../mounts/mountinfo.ts';
import {
  type PathRecord,
  pathItems,
  scratchDeviceRecord,
  scratchDisk,
  scratchRecords,
  scratchStates,
} from './kept-paths.ts';
import { directoriesOf } from './layer-paths.ts';
import { type PathEntry, readPathEntries } from './path-records.ts';

/** A path of SCRATCH with the outcome in this boot. */
export type ScratchEntry = PathEntry<(typeof scratchStates)[number]>;
export type ScratchRecord = PathRecord<(typeof scratchStates)[number]>;

export function readScratchEntries(reader: SystemReader, { SCRATCH }: Config): ScratchEntry[] {
  return readPathEntries(reader, SCRATCH, scratchRecords, scratchStates);
}

/**
 * Returns the device, as "major:minor", of the file system of SCRATCH_DEVICE, whose content no reboot survives: its key is
 * lost then, and a boot makes a new file system before it mounts the device. Root can give the name of the mapping to
 * another device, so the mapping must be on the device that the boot has opened.
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

/** Returns the upper layers of the paths of SCRATCH for which the boot has mounted an overlay in memory. */
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
