import path from 'node:path';
import { nodeOfMount } from '../../facts/disks/block.ts';
import { SystemError, errorMessage } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { ActionOf, Context, Executor } from '../engine/context.ts';
import { mountProgram, umountProgram, unstage } from '../move/mounting.ts';
import { openMoving } from '../move/moving.ts';
import { openMigration, stagedIn } from './migration.ts';
import { homeMount, homeOptions } from './mounting.ts';
import { withHome } from './persistence.ts';
import { type MarkerStore, diskMarker, fileMarker, findStaleMarker } from './progress-marker.ts';
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
    const before = fstabText(context.reader, action.file);
    return { ...action, before, after: withHome(before ?? '', volume) };
  },
  execute: async (context, { file, before, after }) => {
    const migration = await context.shared(openMigration);
    const { volume } = stagedIn(migration);
    const { reader, writer } = context;
    if (after === null || migration.moving.old === undefined) throw new Error('the copy was not verified');
    if (fstabText(reader, file) !== before) throw new SystemError(`${file} was changed: run prepare again`);
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
export const clearHomeMarker: Executor<ActionOf<'clear-home-marker'>> = {
  execute: async (context) => {
    const { old } = await context.shared(openMoving);
    // While there is a marker, the next run of an interrupted one comes here and removes the mounts of that run.
    await unstage(context);
    await (await findMarkerStore(context))?.clear();
    if (old === undefined) return;
    await expectUnreachable(
      context.reader,
      old.region,
      'The new /home is mounted. These still write to the old /home: end them. --purge-old-home keeps and lists the files that they change.',
    );
  },
};

async function findMarkerStore(context: Context): Promise<MarkerStore | undefined> {
  const home = homeMount(readMountTable(context.reader));
  const stale = home && (await findStaleMarker(context.reader, home));
  if (stale === undefined) return undefined;
  const { on, device, uuid } = stale;
  return on === 'disk' ? diskMarker(context, device, uuid) : fileMarker(context, uuid, '/home');
}

/** Reads fstab, one character per byte. @returns null if there is no file */
function fstabText(reader: SystemReader, file: string): string | null {
  return reader.stat(file) === undefined ? null : reader.read(file);
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
  const found =
    node === undefined
      ? ''
      : await runAlways('/usr/sbin/blkid', [
          ...['-p', '-s', 'UUID', '-o', 'value'],
          `/dev/${path.basename(node)}`,
        ]);
  if (found.trim() === uuid) return undefined;
  return `the file system on /home is ${home.source}, not the new one`;
}
