import { HostError, errorMessage } from '../../lib/errors.ts';
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

/** Milliseconds. A pass that takes less is the last one before /home becomes read-only for another. */
const shortPass = 60_000;
const mostPasses = 4;

/**
 * Copies /home while it is in use; what an earlier run copied is not copied again.
 * @throws HostError if the disk may not be used, breaks, or is too small; PlanOutdated if it must be formatted again
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
 * Makes /home read-only, copies the rest and compares every byte. /home stays read-only until the cutover, or the end of
 * the step.
 * @throws HostError EBUSY naming what uses /home; any HostError makes /home writable again
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
    // Again: a process may have come in between.
    await expectUnreachable(reader, region, adviceBeforeCutover);
    await expectAllCopyable(context);
    context.say(
      'Copying what has changed meanwhile, and comparing every byte; /home is read-only until then',
    );
    const state = await copyRest(context, volume, false);
    if (homeMount(mounts) === undefined) writeCutoverState(context, volume.uuid, state);
    await marker.write('copied');
    // The last check before the cutover, so that a cutover is logged only if nothing prevents it.
    await expectUnreachable(reader, region, adviceBeforeCutover);
  },
};

const adviceBeforeCutover =
  'They would continue with the old /home. What is copied so far stays. End them (a shell: cd /), or as root on the console: systemctl isolate rescue.target; then --apply again';

function copying({ type }: Volume): Pick<Copying, 'from' | 'to' | 'type'> {
  return { from: '/home', to: staging, type };
}

/**
 * A power cut in an earlier run may have left a file with the right size and time but another content: the comparison finds
 * it, and it is copied again.
 * @param checksum whether files of the same size and time are compared by content, too
 * @returns the state of /home that was compared
 * @throws HostError naming what still differs
 */
async function copyRest(context: Context, volume: Volume, checksum: boolean): Promise<TreeState> {
  await copyTree(context, { ...copying(volume), live: false, bytes: 0, checksum });
  // So that the comparison reads the disk, not the page cache.
  await stageAgain(context, volume);
  // Before the comparison, so that a later change of a file is a change of this state.
  const state = await context.writer.readTree('/home', context.checkAborted);
  const differences = await findDifferences(context, copying(volume));
  if (differences === undefined) return state;
  if (checksum) throw new HostError(differences);
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
    // The copy of an interrupted run is not needed.
    if (inspected.marker?.progress !== 'copying') throw error;
    await startAgain(context, device);
    throw new PlanOutdated(`${volume.device} cannot be mounted (${errorMessage(error)}): it is made again`);
  }
  const marker = disk.startsWith('UUID=')
    ? fileMarker(context, volume.uuid, staging)
    : diskMarker(context, device, volume.uuid);
  if (!wipe) await expectUnused(context, disk, marker);
  return { volume, marker };
}

/** A complete copy may have been in use as /home, while its line was in fstab. */
async function expectUnused({ run }: Context, disk: string, marker: MarkerStore): Promise<void> {
  const found = marker.read();
  if (found?.progress !== 'copied') return;
  const later = ['-newerct', `@${found.seconds + 2}`, '!', '-name', markerFile, '-print', '-quit'];
  const newer = (await run('/usr/bin/find', [staging, '-xdev', ...later])).trim();
  if (newer === '') return;
  throw new HostError(
    `${disk} holds a copy of /home that was in use since: ${newer.slice(staging.length)} is newer. Put its line back into fstab, or name it by --wipe to copy /home anew`,
  );
}
