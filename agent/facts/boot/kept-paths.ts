/** The paths of PERSIST and SCRATCH, for the agent, and for the boot, which mounts them (boot/persist/persist.ts). */
import type { Config } from '../../config/keys.ts';
import { itemOptions, pathOf, words } from '../../config/boot-keys.ts';

/** The directories in which the boot records the outcome for each path. */
export const persistRecords = '/run/immutafs/persisted';
export const scratchRecords = '/run/immutafs/scratch';

/** Where the boot mounts the file system of SCRATCH_DEVICE. */
export const scratchDisk = '/run/immutafs/scratch-disk';
/** Where the boot records which device it has opened. */
export const scratchDeviceRecord = '/run/immutafs/scratch-device';

/** `failed`: the path is as without SCRATCH. */
export const scratchStates = ['disk', 'memory', 'read-only', 'failed'] as const;

/** What the boot recorded for a path of PERSIST or SCRATCH. */
export interface PathRecord<State extends string> {
  state: State;
  /** Why the path is not as configured; for a path of PERSIST that is kept, what was corrected, or empty. */
  reason: string;
  /** What to do; empty if nothing. */
  remedy: string;
}

/** @returns undefined for a text that the boot does not write */
export function parsePathRecord<State extends string>(
  text: string,
  states: readonly State[],
): PathRecord<State> | undefined {
  const [, found, reason = '', remedy = ''] = /^STATE=(.*)\nREASON=(.*)\nREMEDY=(.*)\n$/.exec(text) ?? [];
  const state = states.find((each) => each === found);
  return state === undefined ? undefined : { state, reason, remedy };
}

/** A path of PERSIST or SCRATCH. */
export interface PersistItem {
  path: string;
  /**
   * exec, suid, dev; of PERSIST also autostart, maintenance; of SCRATCH also required, empty, copy. Programs may be
   * started from a path with autostart: root in one boot decides what runs as root in the next one and, with
   * maintenance, also while the system disk is writable.
   */
  options: string[];
}

export function persistItems({ PERSIST }: Pick<Config, 'PERSIST'>): PersistItem[] {
  return pathItems(PERSIST);
}

/** Parses PERSIST or SCRATCH. Of several items with the same path, the first one counts. */
export function pathItems(value: string): PersistItem[] {
  const items = new Map<string, PersistItem>();
  for (const word of words(value)) {
    const path = pathOf(word);
    if (!items.has(path)) items.set(path, { path, options: itemOptions(word) });
  }
  return [...items.values()];
}

/**
 * Returns the name of a path in the store. The characters of PERSIST do not include "=", so that different paths have
 * different names.
 */
export function nameInStore(path: string): string {
  return path.slice(1).replaceAll('/', '=') || '=';
}

/** Whether a boot mounts a path with these options. Programs that start from a path with autostart could change the system disk permanently while it is writable: in maintenance and in a rehearsal. */
export function isMountedIn(
  options: readonly string[],
  { mode, rehearsal }: { mode: string; rehearsal?: unknown },
): boolean {
  const isWritable = mode !== 'sealed' || rehearsal !== undefined;
  return !isWritable || !options.includes('autostart') || options.includes('maintenance');
}

/** Returns the options of the mount of a path. */
export function mountOptions(options: readonly string[]): string[] {
  return ['rw', ...['suid', 'dev', 'exec'].flatMap((each) => (options.includes(each) ? [] : [`no${each}`]))];
}
