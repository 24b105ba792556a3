import { type InferOutput, array, nullable, number, object, string } from 'valibot';
import { parseRecord } from '../../lib/json-record.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { TreeState } from '../../system/writer.ts';
import type { Context, Shared } from '../engine/context.ts';
import { clearWorkFolder, mountProgram, openWorkFolder, removeReadOnlyView } from './mounting.ts';
import type { Region } from './region.ts';
import { readMountTable } from '../../facts/mounts/mountinfo.ts';

/** The state that the actions of one step share while it moves directories, one after the other. */
export interface Moving {
  /** The old directory, and the state of its files; undefined until it is read-only and compared with the copy. */
  old: { region: Region; state: TreeState } | undefined;
  /** Makes the old directory writable again; undefined if it is writable, or if the new one is mounted over it. */
  release: (() => Promise<void>) | undefined;
}

/**
 * Opens the shared state of a step (`Context.shared`): ends what an interrupted run left, and creates the folders for
 * mounts. From then until the end of the step, a signal aborts the move instead of ending this process.
 */
export async function openMoving(context: Context): Promise<Shared<Moving>> {
  // Leave the directory so that our own cwd does not keep it busy.
  process.chdir('/');
  context.abortOnSignals();
  await openWorkFolder(context);
  await settle(context);
  const moving: Moving = { old: undefined, release: undefined };
  const close = async () => {
    await moving.release?.();
    await clearWorkFolder(context);
    await settle(context);
  };
  return { value: moving, close };
}

/**
 * Exists while a directory is read-only or units are stopped for a move, so that the next run can end what a killed run
 * left. It is in /run: after a reboot, nothing is mounted, and the units have been started.
 */
const recordFile = '/run/immutafs/prepare-moving';

/** The part of a move in which it must not stop. */
const schema = object({
  /** The directory, which may be read-only. */
  path: string(),
  units: array(string()),
  /** When they were stopped, in milliseconds since the epoch. */
  since: number(),
  /**
   * The directory in PERSIST_STORE, and its name while it is not used. It has its final name only while it is mounted
   * on the directory: otherwise a later boot could mount an outdated copy. Null for /home.
   */
  store: nullable(object({ final: string(), copy: string() })),
});
export type Unsettled = InferOutput<typeof schema>;

export function readUnsettled(reader: SystemReader): Unsettled | undefined {
  const text = reader.readIfPresent(recordFile, 65536);
  return text === undefined ? undefined : parseRecord(schema, text, recordFile);
}

export function recordUnsettled({ writer }: Context, unsettled: Unsettled): void {
  writer.replaceText(recordFile, JSON.stringify(unsettled), 0o600);
}

/**
 * Ends what the record names, of this run or of a killed one: makes the directory writable, gives the directory in the
 * store the name that fits, starts the units, and removes the record. What is mounted on the directory stays mounted.
 * @throws SystemError if a unit does not start
 */
export async function settle(context: Context): Promise<void> {
  const { reader, writer, runAlways, say } = context;
  const unsettled = readUnsettled(reader);
  if (unsettled === undefined) return;
  const { path, units, since, store } = unsettled;
  await removeReadOnlyView(context, path);
  if (store !== null) await settleStore(context, path, store);
  writer.remove(recordFile);
  if (units.length === 0) return;
  await runAlways('/usr/bin/systemctl', ['start', ...units]);
  const seconds = (reader.now().getTime() - since) / 1000;
  say(`Started ${units.join(', ')}, stopped for ${seconds.toFixed(1)} s`);
}

async function settleStore(
  context: Context,
  path: string,
  { final, copy }: NonNullable<Unsettled['store']>,
): Promise<void> {
  const { reader, runAlways } = context;
  const mount = readMountTable(reader).serving(path);
  const isMounted = mount?.target === path;
  const [from, to] = isMounted ? [copy, final] : [final, copy];
  if (reader.stat(from) !== undefined && reader.stat(to) === undefined)
    await renameInStore(context, from, to);
  if (isMounted && mount.options.includes('ro') && !mount.superOptions.includes('ro'))
    await runAlways(mountProgram, ['-o', bindOptions(mount.options, 'rw'), path]);
}

/** Renames a directory in the store, and waits until that is on the disk. */
export async function renameInStore({ runAlways }: Context, from: string, to: string): Promise<void> {
  await runAlways('/usr/bin/mv', ['-T', from, to]);
  await runAlways('/usr/bin/sync', []);
}

/** Returns the options with which mount(8) makes a mount read-only or writable and keeps its other options. */
export function bindOptions(options: readonly string[], access: 'ro' | 'rw'): string {
  const kept = options.filter((option) => /^(?:no(?:suid|dev|exec|atime|diratime)|relatime)$/.test(option));
  return ['remount', 'bind', access, ...kept].join(',');
}
