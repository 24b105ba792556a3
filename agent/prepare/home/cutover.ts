import { HostError } from '../../lib/errors.ts';
import { formatBytes } from '../../lib/format.ts';
import type { TreeState } from '../../system/writer.ts';
import { type Copying, copy, differences } from './copy.ts';
import { writeCutover } from './cutover-state.ts';
import { withHome } from './fstab-line.ts';
import { ownMount } from './stale-marker.ts';
import type { Ledger } from './marker-store.ts';
import type { Volume } from './format.ts';
import { holdStill, readMounts, stageAgain, takePlace } from './mounting.ts';
import { staging } from './places.ts';
import { homeRegion } from './region.ts';
import { expectRoom } from './space-check.ts';
import { expectWhole } from './uncarried.ts';
import { expectNone, expectUnreachable, findHomeUsers } from './users.ts';
import type { Move } from './abortable.ts';

const fstab = '/etc/fstab';

/** A pass that takes less is short enough to be the last one, for which /home is read-only. Milliseconds. */
const shortPass = 60_000;
const mostPasses = 4;

/** Copies /home to the staged file system while it is used, then holds it still, copies the rest and changes over. */
export async function moveOver(move: Move, volume: Volume, ledger: Ledger): Promise<void> {
  const copying = { from: '/home', to: staging, type: volume.type, checksum: false };
  await ledger.write('copying');
  const bytes = await expectRoom(move, volume.device);
  move.say(`Copying /home (${formatBytes(bytes)}) to ${volume.device}; it can be used meanwhile`);
  for (let pass = 0; pass < mostPasses; pass++) {
    const began = performance.now();
    await copy(move, { ...copying, live: true, bytes: pass === 0 ? bytes : 0 });
    if (performance.now() - began < shortPass) break;
  }
  await expectNobody(move);
  const mounts = readMounts(move.reader);
  const region = await homeRegion(move.reader, mounts);
  const release = await holdStill(move);
  try {
    // Whatever came in between.
    await expectUnreachable(move.reader, region, advice);
    await expectWhole(move);
    move.say('Copying what has changed meanwhile, and comparing every byte; /home is read-only until then');
    const state = await copyRest(move, volume, copying);
    if (ownMount(mounts) === undefined) writeCutover(move, volume.uuid, state);
    await ledger.write('copied');
    await expectUnreachable(move.reader, region, advice);
    await changeOver(move, volume);
  } catch (error) {
    await release();
    throw error;
  }
  await ledger.clear();
  await expectUnreachable(
    move.reader,
    region,
    'The new /home is in place; what is written to the old one meanwhile is not in it. End them; --purge-old-home keeps and lists what they changed.',
  );
}

const advice =
  'What uses /home would go on with the old one. What is copied so far stays. End them (a shell: cd /), or as root on the console: systemctl isolate rescue.target; then --apply again';

/**
 * A power cut in an earlier run may have left a file that has its size and time, and not its content: then it is copied
 * again.
 * @returns the state of /home that was compared
 * @throws HostError naming what is not the same afterwards either
 */
async function copyRest(
  move: Move,
  volume: Volume,
  copying: Omit<Copying, 'live' | 'bytes'>,
): Promise<TreeState> {
  await copy(move, { ...copying, live: false, bytes: 0 });
  // So that it is read from the disk, and not from memory.
  await stageAgain(move, volume);
  // Before it is compared, so that what changes afterwards differs from it.
  const state = await move.writer.readTree('/home', move.expectGoing);
  const found = await differences(move, copying);
  if (found === undefined) return state;
  if (copying.checksum) throw new HostError(found);
  move.say(`${found}; copying these again`);
  return copyRest(move, volume, { ...copying, checksum: true });
}

/** @throws HostError naming what would go on with the old /home */
async function expectNobody({ reader }: Move): Promise<void> {
  const { obstacles, holders } = await findHomeUsers(reader);
  expectNone(obstacles, holders, advice);
}

/** fstab first: a power cut leaves the old /home or the new one, and both are whole. */
async function changeOver(move: Move, volume: Volume): Promise<void> {
  const before = move.reader.stat(fstab) === undefined ? null : move.reader.read(fstab);
  const after = withHome(before ?? '', volume);
  await move.edit(fstab, before, after);
  try {
    await move.always('/usr/bin/sync');
    await takePlace(move, volume.uuid);
  } catch (error) {
    await move.edit(fstab, after, before ?? '');
    throw error;
  }
}
