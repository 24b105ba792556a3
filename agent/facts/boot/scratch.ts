import type { Config } from '../../config/config.ts';
import { decodeBytes } from '../../lib/format.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { Mount, MountTable } from '../mounts/mountinfo.ts';
import { type Observed, observe } from '../observed.ts';
import { nameInStore, pathItems } from './persist.ts';

/** Where units/open-scratch mounts the file system of SCRATCH_DEVICE. */
export const scratchDisk = '/run/immutafs/scratch-disk';
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

export interface ScratchRecord {
  /** `failed`: the path is as without SCRATCH. */
  state: 'disk' | 'memory' | 'read-only' | 'failed';
  /** Why the path is not on the device; empty if it is. */
  reason: string;
  /** What to do. */
  remedy: string;
}

/** Reads the outcome for each path of SCRATCH. Reads nothing if SCRATCH is empty. */
export function readScratchEntries(
  reader: SystemReader,
  { SCRATCH }: Pick<Config, 'SCRATCH'>,
): ScratchEntry[] {
  return pathItems(SCRATCH).map((item) => ({
    ...item,
    record: observe(() => readRecord(reader, `${scratchRecords}/${nameInStore(item.path)}`)),
  }));
}

/** Whether a mount is of the file system of SCRATCH_DEVICE, which no reboot survives, because its key is gone then. */
export function isOnScratch({ device }: Mount, mounts: MountTable): boolean {
  const disk = mounts.serving(scratchDisk);
  return (
    disk?.target === scratchDisk && disk.source === '/dev/mapper/immutafs-scratch' && disk.device === device
  );
}

function readRecord(reader: SystemReader, file: string): ScratchRecord | undefined {
  const text = reader.readRecord(file, 'root', 65536);
  if (text === undefined) return undefined;
  const [, state, reason, remedy] =
    /^STATE=(disk|memory|read-only|failed)\nREASON=(.*)\nREMEDY=(.*)\n$/.exec(decodeBytes(text)) ?? [];
  if (state === undefined || reason === undefined || remedy === undefined)
    throw new Error(`${file}: not a record of mount-scratch`);
  return { state: state as ScratchRecord['state'], reason, remedy };
}
