import { nodeOfMount } from '../../facts/disks/sources.ts';
import { SystemError, errorMessage } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import { parseTreeState } from '../../system/tree.ts';
import type { TreeState } from '../../system/writer.ts';
import { backupFolder } from '../engine/action-log.ts';
import type { ActionOf, Context, Executor } from '../engine/context.ts';
import { textBefore } from '../engine/part.ts';
import { mountProgram, umountProgram, unstage } from '../move/mounting.ts';
import { openMoving } from '../move/moving.ts';
import { deviceOf } from './devices.ts';
import { homeMount, homeOptions, openMigration, stagedIn, withHome } from './migration.ts';
import { clearMarker, findStaleMarker } from './progress-marker.ts';
import { expectUnreachable } from '../move/users.ts';
import { readMountTable } from '../../facts/mounts/mountinfo.ts';

/**
 * Writes /etc/fstab, then mounts the new /home. After a power cut, the guest boots with the old or the new /home; both
 * are complete.
 * @throws SystemError if the new /home cannot be mounted; /etc/fstab is then restored
 */
export const cutoverHome: Executor<ActionOf<'cutover-home'>> = {
  complete: async (context, action) => {
    context.checkAborted();
    const { volume } = stagedIn(await context.shared(openMigration));
    const before = textBefore(context.reader, action.file);
    return { ...action, before, after: withHome(before ?? '', volume) };
  },
  execute: async (context, { file, before, after }) => {
    const migration = await context.shared(openMigration);
    const { volume } = stagedIn(migration);
    const { reader, writer } = context;
    if (after === null || migration.moving.old === undefined) throw new Error('the copy was not verified');
    if (textBefore(reader, file) !== before) throw new SystemError(`${file} was changed: run prepare again`);
    try {
      writer.replaceText(file, after);
      await context.runAlways('/usr/bin/sync', []);
      await mountHome(context, volume.uuid);
    } catch (error) {
      if (before === null) writer.remove(file);
      else writer.replaceText(file, before);
      throw error;
    }
    migration.moving.release = undefined;
  },
};

/**
 * Removes the progress marker, and verifies that no process can write to the old /home.
 * @throws SystemError EBUSY if a process can write to it; the new /home is nevertheless mounted and complete
 */
export async function clearHomeMarker(context: Context): Promise<void> {
  const { reader } = context;
  const { old } = await context.shared(openMoving);
  // While there is a marker, the next run of an interrupted one comes here and removes the mounts of that run.
  await unstage(context);
  const home = homeMount(readMountTable(reader));
  const stale = home && (await findStaleMarker(reader, home));
  if (stale !== undefined) await clearMarker(context, stale.place);
  if (old === undefined) return;
  await expectUnreachable(
    reader,
    old.region,
    'The new /home is mounted. These still write to the old /home: end them. --purge-old-home keeps and lists the files that they change.',
  );
}

/**
 * Mounts the new file system on /home, as specified by its line in fstab. The read-only view of the old /home stays
 * mounted below it until the next boot, because the old /home would be writable for a moment if the view were unmounted
 * first.
 * @throws SystemError if afterwards another file system is mounted on /home, or a mount option is missing
 */
async function mountHome(context: Context, uuid: string): Promise<void> {
  const { reader, runAlways } = context;
  // If systemd has not read the new line in fstab, it unmounts the file system again.
  if (reader.stat('/run/systemd/system')) await runAlways('/usr/bin/systemctl', ['daemon-reload']);
  const below = readMountTable(reader).serving('/home');
  let problem: string | undefined;
  try {
    await runAlways(mountProgram, ['/home']);
    problem = await findMountProblem(context, uuid);
  } catch (error) {
    problem = errorMessage(error);
  }
  if (problem === undefined) return;
  if (readMountTable(reader).serving('/home')?.id !== below?.id) await runAlways(umountProgram, ['/home']);
  throw new SystemError(problem);
}

async function findMountProblem({ reader, runAlways }: Context, uuid: string): Promise<string | undefined> {
  const home = readMountTable(reader).serving('/home');
  if (home?.target !== '/home') return 'mount succeeded, but nothing is mounted on /home';
  const missing = homeOptions.filter((option) => !home.options.includes(option));
  if (missing.length > 0) return `/home was mounted without ${missing.join(', ')}`;
  const node = nodeOfMount(reader, home);
  const tag = ['-p', '-s', 'UUID', '-o', 'value'];
  const found = node === undefined ? '' : await runAlways('/usr/sbin/blkid', [...tag, deviceOf(node)]);
  if (found.trim() === uuid) return undefined;
  return `the file system on /home is ${home.source}, not the new one`;
}

/**
 * Contains the state of each file of the old /home when it was compared with the new /home, right before the cutover. A
 * file whose state is still the same has not changed since. The state takes eight bytes per file.
 */
const cutoverFile = '/var/lib/immutafs/home-at-cutover';

const limit = 1024 * 1024 * 1024;

/** Writes the state of the old /home. @param uuid the UUID of the new file system */
export function writeCutoverState({ writer }: Context, uuid: string, state: TreeState): void {
  writer.makeDirectory(backupFolder, 0o700);
  writer.replaceText(cutoverFile, `${header(uuid)}${state.text()}`, 0o600);
}

/**
 * Reads the state of the old /home at the cutover.
 * @param uuid the UUID of the file system to which /home was moved
 * @returns undefined if there is no state of this migration, so that no file is known to be unchanged
 * @throws SystemError if the file has another format
 */
export function readCutoverState(reader: SystemReader, uuid: string): TreeState | undefined {
  if (reader.stat(cutoverFile) === undefined) return undefined;
  const text = reader.read(cutoverFile, limit);
  const end = text.indexOf('\n') + 1;
  if (!/^immutafs home-at-cutover 1 \S+\n$/.test(text.slice(0, end))) {
    throw new SystemError(`${cutoverFile} was not written by prepare`);
  }
  return text.slice(0, end) === header(uuid) ? parseTreeState(text.slice(end)) : undefined;
}

function header(uuid: string): string {
  return `immutafs home-at-cutover 1 ${uuid}\n`;
}
