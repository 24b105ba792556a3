import { setTimeout as sleep } from 'node:timers/promises';
import { SystemError, errorMessage } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import { nodeOfSource } from '../../facts/disks/sources.ts';
import { readMountTable } from '../../facts/mounts/mountinfo.ts';
import { type ActionOf, type Context, PlanOutdated } from '../engine/context.ts';
import { writeCutoverState } from './cutover.ts';
import { deviceOf, partitionsOf, probe } from './devices.ts';
import { type Volume, expectUsable, partitionName } from './inspect.ts';
import { type Move, copyFinally, copyInUse, markerFile } from '../move/copy.ts';
import { staging } from '../move/mounting.ts';
import { recordUnsettled } from '../move/moving.ts';
import { expectAllCopyable } from '../move/requirements.ts';
import { expectNone, expectUnreachable, findUsers } from '../move/users.ts';
import { type Migration, homeMount, openMigration, stage, stageAgain, stagedIn } from './migration.ts';
import { type MarkerPlace, readMarker, writeMarker } from './progress-marker.ts';

/** The table is GPT, because an msdos table is limited to 2 TiB and has no partition names. */
const table = ['mklabel', 'gpt', 'unit', '%', 'mkpart', partitionName, 'xfs', '0', '100'];

/**
 * Writes the progress marker and creates the partition.
 * @throws SystemError if the disk must not be used, or if a part of /home cannot be copied; nothing is then written
 */
export async function partitionHome(
  context: Context,
  { disk, wipe }: ActionOf<'partition-home'>,
): Promise<void> {
  await context.shared(openMigration);
  await expectAllCopyable(context, '/home');
  const { device, marker } = await expectUsable(context, disk, wipe);
  await startAgain(context, device);
  const { reader, run } = context;
  if (marker === undefined) {
    const old = partitionsOf(reader, nodeOfSource(reader, device) ?? '').map(deviceOf);
    for (const each of [...old, device]) await run('/usr/sbin/wipefs', ['--all', each]);
  }
  await run('/usr/sbin/parted', ['--script', '--align', 'optimal', device, ...table]);
  await settle(context);
}

/** Creates the file system and mounts it for copying. After this action, an interrupted run continues with the copy. */
export async function formatHome(context: Context, { disk }: ActionOf<'format-home'>): Promise<void> {
  const migration = await context.shared(openMigration);
  const { reader, run } = context;
  const node = nodeOfSource(reader, disk) ?? '';
  const marker = { device: deviceOf(node) };
  if (readMarker(reader, marker)?.progress !== 'making') {
    throw new SystemError(`${disk} was changed after it was partitioned: run prepare again`);
  }
  const device = await waitForPartition(reader, node);
  context.say(`Making an XFS file system on ${device}`);
  await run('/usr/sbin/mkfs.xfs', ['-q', '-f', device]);
  await settle(context);
  const { UUID: uuid = '', TYPE: type } = await probe(reader, device);
  if (type !== 'xfs' || uuid === '') throw new SystemError(`mkfs.xfs succeeded, but ${device} has no XFS`);
  const volume = { device, uuid, type };
  await stage(context, volume);
  // Written after the mount, because after a write to a disk udev rereads the partition table unless a partition is
  // in use.
  await writeMarker(context, marker, 'copying', uuid);
  migration.staged = { volume, marker };
}

/**
 * Writes the marker `making` to a disk. It is written before any other change, so that an interrupted run can continue.
 */
async function startAgain(context: Context, device: string): Promise<void> {
  await writeMarker(context, { device }, 'making', '');
  await settle(context);
}

/** Waits for udev, which rereads the partition table after a write to the disk and briefly removes the partitions. */
async function settle({ reader, runAlways }: Context): Promise<void> {
  if (reader.stat('/run/udev/control') === undefined) return;
  await runAlways('/usr/bin/udevadm', ['settle', '--timeout=30']);
}

async function waitForPartition(reader: SystemReader, node: string): Promise<string> {
  for (let tries = 0; tries < 50; tries++) {
    const [device] = partitionsOf(reader, node).map(deviceOf);
    if (device !== undefined && reader.stat(device) !== undefined) return device;
    await sleep(200);
  }
  throw new SystemError(
    `parted created a partition on ${deviceOf(node)}, but its device did not appear within 10 s`,
  );
}

/**
 * Copies /home while it is in use. Files that an interrupted run has copied are not copied again.
 * @throws SystemError if the disk must not be used, fails, or is too small; PlanOutdated if it must be formatted again
 */
export async function copyHome(context: Context, { disk, wipe }: ActionOf<'copy-home'>): Promise<void> {
  const migration = await context.shared(openMigration);
  if (migration.staged === undefined) {
    await expectAllCopyable(context, '/home');
    migration.staged = await stageExisting(context, disk, wipe);
  }
  const { volume, marker } = migration.staged;
  await writeMarker(context, marker, 'copying', volume.uuid);
  await copyInUse(context, moveTo(context, volume));
}

/**
 * Makes /home read-only, copies the remaining changes and compares every byte. /home stays read-only until the cutover.
 * If an action fails before the cutover, /home becomes writable again at the end of the step.
 * @throws SystemError EBUSY if /home is in use, naming its users
 */
export async function verifyHome(context: Context): Promise<void> {
  const migration = await context.shared(openMigration);
  const { volume, marker } = stagedIn(migration);
  const { reader } = context;
  const { obstacles, owners } = await findUsers(reader, '/home');
  expectNone(obstacles, owners, adviceBeforeCutover);
  recordUnsettled(context, { path: '/home', units: [], since: 0, store: null });
  const isFolder = homeMount(readMountTable(reader)) === undefined;
  const move = moveTo(context, volume);
  const { region, state } = await copyFinally(context, migration.moving, move, adviceBeforeCutover);
  if (isFolder) writeCutoverState(context, volume.uuid, state);
  await writeMarker(context, marker, 'copied', volume.uuid);
  // The last check before the cutover, at the end of this action, so that no cutover is logged if it fails.
  await expectUnreachable(reader, region, adviceBeforeCutover);
}

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
  const { volume, device, marker } = await expectUsable(context, disk, wipe);
  if (volume === undefined) throw new PlanOutdated(`${disk} must be formatted again`);
  try {
    await stage(context, volume);
  } catch (error) {
    // After a signal, mount(8) may have failed only because of the signal.
    context.checkAborted();
    // An incomplete copy can be discarded.
    if (marker?.progress !== 'copying') throw error;
    await startAgain(context, device);
    context.checkAborted();
    throw new PlanOutdated(
      `${volume.device} cannot be mounted (${errorMessage(error)}): the file system will be created again`,
    );
  }
  const place = disk.startsWith('UUID=') ? { root: staging } : { device };
  if (!wipe) await expectUnused(context, disk, place);
  return { volume, marker: place };
}

/**
 * Verifies that a complete copy was not in use as /home, while fstab had its line.
 * @throws SystemError if the copy contains a file that is newer than its progress marker
 */
async function expectUnused({ reader, run }: Context, disk: string, place: MarkerPlace): Promise<void> {
  const found = readMarker(reader, place);
  if (found?.progress !== 'copied') return;
  const later = ['-newerct', `@${found.seconds + 2}`, '!', '-name', markerFile, '-print', '-quit'];
  const newer = (await run('/usr/bin/find', [staging, '-xdev', ...later])).trim();
  if (newer === '') return;
  throw new SystemError(
    `${disk} contains a /home that was in use after it was copied (${newer.slice(staging.length)} is newer). To keep it, add its line to /etc/fstab again; to replace it, use --wipe`,
  );
}
