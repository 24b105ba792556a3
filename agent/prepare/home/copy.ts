import { SystemError, errorMessage } from '../../lib/errors.ts';
import { formatBytes } from '../../lib/format.ts';
import type { TreeState } from '../../system/writer.ts';
import { type ActionOf, type Context, type Executor, PlanOutdated } from '../engine/context.ts';
import { readMounts } from '../engine/snapshot.ts';
import { writeCutoverState } from './cutover-state.ts';
import { startAgain } from './format.ts';
import type { Volume } from './inspect.ts';
import { type Migration, openMigration, stagedIn } from './migration.ts';
import { homeMount, makeHomeReadOnly, stage, stageAgain, staging } from './mounting.ts';
import { type MarkerStore, diskMarker, fileMarker, markerFile } from './progress-marker.ts';
import { homeRegion } from './region.ts';
import { type Copying, copyTree, findDifferences } from './rsync.ts';
import { expectSpace } from './space-check.ts';
import { expectAllCopyable } from './not-copied.ts';
import { expectNone, expectUnreachable, findHomeUsers } from './users.ts';
import { expectUsable } from './validation.ts';

/** Milliseconds. After a shorter pass, /home is made read-only for the final pass. */
const shortPass = 60_000;
const mostPasses = 4;

/**
 * Copies /home while it is in use. Files that an interrupted run has copied are not copied again.
 * @throws SystemError if the disk must not be used, fails, or is too small; PlanOutdated if it must be formatted again
 */
export const copyHome: Executor<ActionOf<'copy-home'>> = {
  execute: async (context, { disk, wipe }) => {
    const migration = await context.shared(openMigration);
    if (migration.staged === undefined) {
      await expectAllCopyable(context);
      migration.staged = await stageExisting(context, disk, wipe);
    }
    const { volume, marker } = migration.staged;
    await marker.write('copying');
    const bytes = await expectSpace(context, volume.device);
    context.say(`Copying /home (${formatBytes(bytes)}) to ${volume.device}; it can be used meanwhile`);
    for (let pass = 0; pass < mostPasses; pass++) {
      const began = performance.now();
      await copyTree(context, { ...copying(volume), live: true, bytes: pass === 0 ? bytes : 0 });
      if (performance.now() - began < shortPass) break;
    }
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
    const { obstacles, owners } = await findHomeUsers(reader);
    expectNone(obstacles, owners, adviceBeforeCutover);
    const mounts = readMounts(reader);
    const region = await homeRegion(reader, mounts);
    migration.release = await makeHomeReadOnly(context);
    migration.oldHome = region;
    // Checked again, because a process may have started to use /home after the first check.
    await expectUnreachable(reader, region, adviceBeforeCutover);
    await expectAllCopyable(context);
    context.say(
      'Copying what has changed meanwhile, and comparing every byte; /home is read-only until then',
    );
    const state = await copyRest(context, volume, false);
    if (homeMount(mounts) === undefined) writeCutoverState(context, volume.uuid, state);
    await marker.write('copied');
    // The last check before the cutover, at the end of this action, so that no cutover is logged if it fails.
    await expectUnreachable(reader, region, adviceBeforeCutover);
  },
};

const adviceBeforeCutover =
  'These would continue to use the old /home. The copy is kept. End them (in a shell: cd /), or run systemctl isolate rescue.target as root on the console; then run --apply again';

function copying({ type }: Volume): Pick<Copying, 'from' | 'to' | 'type'> {
  return { from: '/home', to: staging, type };
}

/**
 * Copies the remaining changes and compares /home with the copy. A power cut in an earlier run can leave a file with
 * the right size and time but the wrong content. If the comparison finds such a file, the copy is repeated with
 * checksums.
 * @param checksum whether files with the same size and time are compared by content, too
 * @returns the state of /home that was compared
 * @throws SystemError naming the files that still differ after a copy with checksums
 */
async function copyRest(context: Context, volume: Volume, checksum: boolean): Promise<TreeState> {
  await copyTree(context, { ...copying(volume), live: false, bytes: 0, checksum });
  // So that the comparison reads the disk, not the page cache.
  await stageAgain(context, volume);
  // Read before the comparison, so that any later change of a file is a difference from this state.
  const state = await context.writer.readTree('/home', context.checkAborted);
  const differences = await findDifferences(context, copying(volume));
  if (differences === undefined) return state;
  if (checksum) throw new SystemError(differences);
  context.say(`${differences}; copying these again`);
  return copyRest(context, volume, true);
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
