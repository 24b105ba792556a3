import { HostError } from '../../errors.ts';
import { formatBytes } from '../../format.ts';
import { type Copying, copy, differences } from './copy.ts';
import { withHome } from './fstab-line.ts';
import { describeHolders, findHolders } from './holders.ts';
import type { Ledger } from './ledger.ts';
import type { Volume } from './make.ts';
import { holdStill, stageAgain, takePlace } from './mounting.ts';
import { staging } from './places.ts';
import { expectRoom } from './room.ts';
import type { Move } from './work.ts';

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
  expectNobody(move);
  const release = await holdStill(move);
  try {
    // Whoever came in between.
    expectNobody(move);
    move.say('Copying what has changed meanwhile, and comparing every byte; /home is read-only until then');
    await copyRest(move, volume, copying);
    await ledger.write('copied');
    await changeOver(move, volume);
  } catch (error) {
    await release();
    throw error;
  }
  await ledger.clear();
}

/**
 * A power cut in an earlier run may have left a file that has its size and time, and not its content: then it is copied
 * again. @throws HostError naming what is not the same afterwards either
 */
async function copyRest(move: Move, volume: Volume, copying: Omit<Copying, 'live' | 'bytes'>): Promise<void> {
  await copy(move, { ...copying, live: false, bytes: 0 });
  // So that it is read from the disk, and not from memory.
  await stageAgain(move, volume);
  const found = await differences(move, copying);
  if (found === undefined) return;
  if (copying.checksum) throw new HostError(found);
  move.say(`${found}; copying these again`);
  await copyRest(move, volume, { ...copying, checksum: true });
}

/** @throws HostError naming who would go on with the old /home */
function expectNobody({ host }: Move): void {
  const holders = findHolders(host, '/home');
  if (holders.length === 0) return;
  throw new HostError(
    `/home is in use, and who uses it would go on with the old one: ${describeHolders(holders)}. What is copied so far stays. End them (a shell: cd /), or as root on the console: systemctl isolate rescue.target; then --apply again`,
    'EBUSY',
  );
}

/** fstab first: a power cut leaves the old /home or the new one, and both are whole. */
async function changeOver(move: Move, volume: Volume): Promise<void> {
  const before = move.host.stat(fstab) === undefined ? null : move.host.read(fstab);
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
