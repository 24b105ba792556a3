import type { Config } from '../../config/config.ts';
import type { SystemReader } from '../../system/reader.ts';
import { persistRecords } from './kept-paths.ts';
import { type PathEntry, readPathEntries } from './path-records.ts';

/** `begun`: immutafs-boot was killed. */
const persistStates = ['begun', 'kept', 'failed'] as const;

/** A path of PERSIST with the outcome in this boot. */
export type PersistEntry = PathEntry<(typeof persistStates)[number]>;

export function readPersistEntries(reader: SystemReader, { PERSIST }: Config): PersistEntry[] {
  return readPathEntries(reader, PERSIST, persistRecords, persistStates);
}
