import { decodeBytes } from '../../lib/format.ts';
import type { SystemReader } from '../../system/reader.ts';
import { type Observed, observe } from '../observed.ts';
import { type PathRecord, type PersistItem, nameInStore, parsePathRecord, pathItems } from './kept-paths.ts';

/** A path of PERSIST or SCRATCH with the outcome in this boot; undefined if the boot did nothing for the path. */
export interface PathEntry<State extends string> extends PersistItem {
  record: Observed<PathRecord<State> | undefined>;
}

/** Reads the records of the paths. @param value of PERSIST or SCRATCH @param directory with the records */
export function readPathEntries<State extends string>(
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
