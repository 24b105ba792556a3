import { HostError, errorMessage } from '../../lib/errors.ts';
import type { Doing } from '../engine/context.ts';
import { lookAt } from '../engine/snapshot.ts';
import type { Action } from '../engine/step.ts';
import { inspectDisk, inspectFileSystem } from './inspect.ts';
import { findLeft, ownMount } from './stale-marker.ts';
import { type Ledger, diskLedger, fileLedger } from './marker-store.ts';
import { type Volume, makeVolume } from './format.ts';
import { stage, withPlaces } from './mounting.ts';
import { readMounts } from './mounting.ts';
import { moveOver } from './cutover.ts';
import { staging } from './places.ts';
import { refusals, settingsOf } from './validation.ts';
import { expectWhole } from './uncarried.ts';
import { type Move, interruptibly } from './abortable.ts';

type MoveHome = Extract<Action, { do: 'move-home' }>;

/**
 * Moves /home to a disk of its own. Until fstab is written the old /home is what it was; from then on the new one is
 * complete. Wherever it was interrupted before, it goes on.
 * @throws HostError where the disk cannot be had or is broken or too small, or while somebody works in /home: /home
 *   and fstab are as they were
 */
export function moveHome(doing: Doing, action: MoveHome): Promise<void> {
  // Not to be a user of /home oneself.
  process.chdir('/');
  return interruptibly(doing, (move) =>
    withPlaces(move, async () => {
      if (await finish(move)) return;
      await expectWhole(move);
      const { volume, ledger } = await stageVolume(move, action);
      await moveOver(move, volume, ledger);
    }),
  );
}

/** What is left to do when /home is moved already. */
async function finish(move: Move): Promise<boolean> {
  const home = ownMount(readMounts(move.reader));
  const left = home && (await findLeft(move.reader, home));
  if (left === undefined) return false;
  const { on, device, uuid } = left;
  await (on === 'disk' ? diskLedger(move, device, uuid) : fileLedger(move, uuid, '/home')).clear();
  return true;
}

interface Staged {
  volume: Volume;
  ledger: Ledger;
}

/** The file system that is to become /home, mounted where /home can be copied to it. */
async function stageVolume(move: Move, action: MoveHome): Promise<Staged> {
  const settings = settingsOf(action);
  const { homeUuid } = settings;
  const look = lookAt(move.reader, settings, false);
  // Again: the plan may be old.
  const inspected =
    homeUuid === undefined ? await inspectDisk(look, action.disk) : await inspectFileSystem(look, homeUuid);
  const problems = refusals(inspected, action.disk, action.wipe);
  if (problems.length > 0) throw new HostError(problems.join(' '));
  const { volume, device, mark } = inspected;
  const ledgerOf = (uuid: string) =>
    homeUuid === undefined ? diskLedger(move, device, uuid) : fileLedger(move, uuid);
  if (volume === undefined) return make();
  try {
    await stage(move, volume);
  } catch (error) {
    // What an interrupted copy left is not needed.
    if (mark?.progress !== 'copying') throw error;
    move.say(`${volume.device} cannot be mounted (${errorMessage(error)}); beginning anew`);
    return make();
  }
  const ledger = ledgerOf(volume.uuid);
  await expectUnused(move, action, ledger);
  return { volume, ledger };

  async function make(): Promise<Staged> {
    const made = await makeVolume(move, inspected);
    await stage(move, made);
    return { volume: made, ledger: ledgerOf(made.uuid) };
  }
}

/** A complete copy may have been /home since, for as long as its line was in fstab. */
async function expectUnused(move: Move, { disk, wipe }: MoveHome, ledger: Ledger): Promise<void> {
  const mark = ledger.read();
  if (mark?.progress !== 'copied' || wipe) return;
  const later = ['-newerct', `@${mark.seconds + 2}`, '!', '-name', '.immutafs-home', '-print', '-quit'];
  const found = (await move.must('/usr/bin/find', staging, '-xdev', ...later)).trim();
  if (found === '') return;
  throw new HostError(
    `${disk} holds a copy of /home that was in use since: ${found.slice(staging.length)} is newer. Put its line back into fstab, or name it by --wipe to copy /home anew`,
  );
}

export { purgeHome } from './purge.ts';
