import { type Config, words } from '../../config/config.ts';
import { decodeBytes } from '../../lib/format.ts';
import type { SystemReader } from '../../system/reader.ts';
import { type Observed, observe } from '../observed.ts';
import { pathOf, itemOptions } from '../../config/keys.ts';

/** The directory in which units/persist-directory records the outcome for each path. */
export const persistRecords = '/run/immutafs/persisted';

/** A path of PERSIST. */
export interface PersistItem {
  path: string;
  /**
   * exec, suid, dev, autostart, maintenance. Programs may be started from a path with autostart: root in one boot decides
   * what runs as root in the next one and, with maintenance, also while the system disk is writable.
   */
  options: string[];
}

/** A path of PERSIST with the outcome in this boot. */
export interface PersistEntry extends PersistItem {
  /** undefined if the boot did not try to keep the path. */
  record: Observed<PathRecord<(typeof states)[number]> | undefined>;
}

/** What the boot recorded for a path of PERSIST or SCRATCH. */
export interface PathRecord<State extends string> {
  state: State;
  /** Why the path is not as configured; for a path of PERSIST that is kept, what was corrected, or empty. */
  reason: string;
  /** What to do; empty if nothing. */
  remedy: string;
}

/** `begun`: persist-directory was killed. */
const states = ['begun', 'kept', 'failed'] as const;

export function persistItems({ PERSIST }: Pick<Config, 'PERSIST'>): PersistItem[] {
  return pathItems(PERSIST);
}

/** Parses PERSIST or SCRATCH. Of several items with the same path, the first one counts. */
export function pathItems(value: string): { path: string; options: string[] }[] {
  const items = new Map<string, { path: string; options: string[] }>();
  for (const word of words(value)) {
    const path = pathOf(word);
    if (!items.has(path)) items.set(path, { path, options: itemOptions(word) });
  }
  return [...items.values()];
}

/** Returns the name of a path in the store, as name_in_store in units/persist-rules.sh. */
export function nameInStore(path: string): string {
  return path.slice(1).replaceAll('/', '=') || '=';
}

/** Reads the outcome for each path of PERSIST. Reads nothing if PERSIST is empty. */
export function readPersistEntries(reader: SystemReader, config: Config): PersistEntry[] {
  return persistItems(config).map((item) => ({
    ...item,
    record: observe(() =>
      readPathRecord(reader, `${persistRecords}/${nameInStore(item.path)}`, 'persist-directory', states),
    ),
  }));
}

/**
 * Reads the record of a path, which units/persist-directory and units/mount-scratch write in the same form.
 * @param program the name of the program, for the message
 * @returns undefined if there is none
 * @throws Error for a text that the program does not write
 */
export function readPathRecord<State extends string>(
  reader: Pick<SystemReader, 'readRecord'>,
  file: string,
  program: string,
  states: readonly State[],
): PathRecord<State> | undefined {
  const text = reader.readRecord(file, 'root', 65536);
  if (text === undefined) return undefined;
  const [, found, reason = '', remedy = ''] =
    /^STATE=(.*)\nREASON=(.*)\nREMEDY=(.*)\n$/.exec(decodeBytes(text)) ?? [];
  const state = states.find((each) => each === found);
  if (state === undefined) throw new Error(`${file}: not a record of ${program}`);
  return { state, reason, remedy };
}
