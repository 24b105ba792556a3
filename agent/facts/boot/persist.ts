import type { Config } from '../../config/config.ts';
import { decodeBytes } from '../../lib/format.ts';
import { namesIfThere } from '../../system/names.ts';
import type { SystemReader } from '../../system/reader.ts';
import { type Observed, observe } from '../observed.ts';
import type { MountTable } from '../mounts/mountinfo.ts';
import { directoriesOf } from './layer-paths.ts';
import {
  type PathRecord,
  type PersistItem,
  nameInStore,
  parsePathRecord,
  pathItems,
  persistRecords,
  scratchDeviceRecord,
  scratchDisk,
  scratchRecords,
  scratchStates,
} from './kept-paths.ts';

export {
  type PersistItem,
  nameInStore,
  pathItems,
  persistItems,
  persistRecords,
  scratchDisk,
} from './kept-paths.ts';

/** A path of PERSIST or SCRATCH with the outcome in this boot; undefined if the boot did nothing for the path. */
interface PathEntry<State extends string> extends PersistItem {
  record: Observed<PathRecord<State> | undefined>;
}
export type PersistEntry = PathEntry<(typeof persistStates)[number]>;
export type ScratchEntry = PathEntry<(typeof scratchStates)[number]>;
export type ScratchRecord = PathRecord<(typeof scratchStates)[number]>;

/** `begun`: immutafs-boot was killed. */
const persistStates = ['begun', 'kept', 'failed'] as const;

export function readPersistEntries(reader: SystemReader, { PERSIST }: Config): PersistEntry[] {
  return readEntries(reader, PERSIST, persistRecords, persistStates);
}

export function readScratchEntries(reader: SystemReader, { SCRATCH }: Config): ScratchEntry[] {
  return readEntries(reader, SCRATCH, scratchRecords, scratchStates);
}

function readEntries<State extends string>(
  reader: SystemReader,
  value: string,
  directory: string,
  states: readonly State[],
): PathEntry<State>[] {
  return pathItems(value).map((item) => ({
    ...item,
    record: observe(() => readPathRecord(reader, `${directory}/${nameInStore(item.path)}`, states)),
  }));
}

/**
 * Reads the record of a path.
 * @returns undefined if there is none
 * @throws Error for a text that the boot does not write
 */
export function readPathRecord<State extends string>(
  reader: Pick<SystemReader, 'readRecord'>,
  file: string,
  states: readonly State[],
): PathRecord<State> | undefined {
  const text = reader.readRecord(file, 'root', 65536);
  if (text === undefined) return undefined;
  const record = parsePathRecord(decodeBytes(text), states);
  if (record === undefined) throw new Error(`${file}: not a record of immutafs-boot`);
  return record;
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
