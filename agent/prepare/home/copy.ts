import { SystemError, errorMessage } from '../../lib/errors.ts';
import { type ActionOf, type Context, type Executor, PlanOutdated } from '../engine/context.ts';
import { writeCutoverState } from './cutover-state.ts';
import { startAgain } from './format.ts';
import type { Volume } from './inspect.ts';
import { type Move, copyFinally, copyInUse } from '../move/copy.ts';
import { staging } from '../move/mounting.ts';
import { expectAllCopyable } from '../move/not-copied.ts';
import { markerFile } from '../move/rsync.ts';
import { recordUnsettled } from '../move/interrupted.ts';
import { expectNone, expectUnreachable, findUsers } from '../move/users.ts';
import { type Migration, openMigration, stagedIn } from './migration.ts';
import { homeMount, stage, stageAgain } from './mounting.ts';
import { type MarkerStore, diskMarker, fileMarker } from './progress-marker.ts';
import { expectUsable } from './validation.ts';
import { readMountTable } from '../../facts/mounts/mountinfo.ts';

/**
 * Copies /home while it is in use. Files that an interrupted run has copied are not copied again.
 * @throws SystemError if the disk must not be used, fails, or is too small; PlanOutdated if it must be formatted again
 */
export const copyHome: Executor<ActionOf<'copy-home'>> = {
  execute: async (context, { disk, wipe }) => {
    const migration = await context.shared(openMigration);
    if (migration.staged === undefined) {
      await expectAllCopyable(context, '/home');
      migration.staged = await stageExisting(context, disk, wipe);
    }
    const { volume, marker } = migration.staged;
    await marker.write('copying');
    await copyInUse(context, moveTo(context, volume));
  },
};

/**
 * Makes /home read-only, copies the remaining changes and compares every byte. /home stays read-only until the cutover.
 * If an action fails before the cutover, /home becomes writable again at the end of the step.
 * @throws SystemError EBUSY if /home is in use, naming its users
 */
export const verifyHome: Executor<ActionOf<'verify-home'>> = {
  execute: async (context) => {
    const migration = await context.shared(openMigration);
    const { volume, marker } = stagedIn(migration);
    const { reader } = context;
    const { obstacles, owners } = await findUsers(reader, '/home');
    expectNone(obstacles, owners, adviceBeforeCutover);
    recordUnsettled(context, { path: '/home', units: [], since: 0, store: null });
    const isFolder = homeMount(readMountTable(reader)) === undefined;
    const { region, state } = await copyFinally(
      context,
      migration.moving,
      moveTo(context, volume),
      adviceBeforeCutover,
    );
    if (isFolder) writeCutoverState(context, volume.uuid, state);
    await marker.write('copied');
    // The last check before the cutover, at the end of this action, so that no cutover is logged if it fails.
    await expectUnreachable(reader, region, adviceBeforeCutover);
  },
};

const adviceBeforeCutover =
  'These would continue to use the old /home. The copy is kept. End them (in a shell: cd /), or run systemctl isolate rescue.target as root on the console; then run --apply again';

function moveTo(context: Context, volume: Volume): Move {
  const { device: to, type } = volume;
  return { path: '/home', to, type, dropCache: () => stageAgain(context, volume) };
}

/** Mounts the file system of an interrupted run, or the one that --home-uuid names. */
async function stageExisting(
  context: Context,
  disk: string,
  wipe: boolean,
): Promise<NonNullable<Migration['staged']>> {
  const inspected = await expectUsable(context, disk, wipe);
  const { volume, device } = inspected;
  if (volume === undefined) throw new PlanOutdated(`${disk} must be formatted again`);
  try {
    await stage(context, volume);
  } catch (error) {
    // After a signal, mount(8) may have failed only because of the signal.
    context.checkAborted();
    // An incomplete copy can be discarded.
    if (inspected.marker?.progress !== 'copying') throw error;
    await startAgain(context, device);
    context.checkAborted();
    throw new PlanOutdated(
      `${volume.device} cannot be mounted (${errorMessage(error)}): the file system will be created again`,
    );
  }
  const marker = disk.startsWith('UUID=')
    ? fileMarker(context, volume.uuid, staging)
    : diskMarker(context, device, volume.uuid);
  if (!wipe) await expectUnused(context, disk, marker);
  return { volume, marker };
}

/**
 * Verifies that a complete copy was not in use as /home, while fstab had its line.
 * @throws SystemError if the copy contains a file that is newer than its progress marker
 */
async function expectUnused({ run }: Context, disk: string, marker: MarkerStore): Promise<void> {
  const found = marker.read();
  if (found?.progress !== 'copied') return;
  const later = ['-newerct', `@${found.seconds + 2}`, '!', '-name', markerFile, '-print', '-quit'];
  const newer = (await run('/usr/bin/find', [staging, '-xdev', ...later])).trim();
  if (newer === '') return;
  throw new SystemError(
    `${disk} contains a /home that was in use after it was copied (${newer.slice(staging.length)} is newer). To keep it, add its line to /etc/fstab again; to replace it, use --wipe`,
  );
}
