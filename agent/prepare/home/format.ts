import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SystemError } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import { nodeOfSource } from '../../facts/disks/block.ts';
import type { ActionOf, Context, Executor } from '../engine/context.ts';
import { partitionName, partitionsOf } from './inspect.ts';
import { openMigration } from './migration.ts';
import { stage } from './mounting.ts';
import { diskMarker, readDiskMarker, writeDiskMarker } from './progress-marker.ts';
import { probe } from './signatures.ts';
import { expectAllCopyable } from '../move/not-copied.ts';
import { expectUsable } from './validation.ts';

/** The table is GPT, because an msdos table is limited to 2 TiB and has no partition names. */
const table = ['mklabel', 'gpt', 'unit', '%', 'mkpart', partitionName, 'xfs', '0', '100'];

/**
 * Writes the progress marker and creates the partition.
 * @throws SystemError if the disk must not be used, or if a part of /home cannot be copied; nothing is then written
 */
export const partitionHome: Executor<ActionOf<'partition-home'>> = {
  execute: async (context, { disk, wipe }) => {
    await context.shared(openMigration);
    await expectAllCopyable(context, '/home');
    const { device, marker } = await expectUsable(context, disk, wipe);
    await startAgain(context, device);
    const { reader, run } = context;
    const node = nodeOfSource(reader, device) ?? '';
    if (marker === undefined) {
      const old = partitionsOf(reader, node).map((partition) => `/dev/${path.basename(partition)}`);
      for (const each of [...old, device]) await run('/usr/sbin/wipefs', ['--all', each]);
    }
    await run('/usr/sbin/parted', ['--script', '--align', 'optimal', device, ...table]);
    await settle(context);
  },
};

/** Creates the file system and mounts it for copying. After this action, an interrupted run continues with the copy. */
export const formatHome: Executor<ActionOf<'format-home'>> = {
  execute: async (context, { disk }) => {
    const migration = await context.shared(openMigration);
    const { reader, run } = context;
    const node = nodeOfSource(reader, disk) ?? '';
    const device = `/dev/${path.basename(node)}`;
    if (readDiskMarker(reader, device)?.progress !== 'making') {
      throw new SystemError(`${disk} was changed after it was partitioned: run prepare again`);
    }
    const partition = await waitForPartition(reader, node);
    context.say(`Making an XFS file system on ${partition}`);
    await run('/usr/sbin/mkfs.xfs', ['-q', '-f', partition]);
    await settle(context);
    const { UUID: uuid = '', TYPE: type } = await probe(reader, partition);
    if (type !== 'xfs' || uuid === '')
      throw new SystemError(`mkfs.xfs succeeded, but ${partition} has no XFS`);
    const volume = { device: partition, uuid, type };
    await stage(context, volume);
    const marker = diskMarker(context, device, uuid);
    // Written after the mount, because after a write to a disk udev rereads the partition table unless a partition is
    // in use.
    await marker.write('copying');
    migration.staged = { volume, marker };
  },
};

/**
 * Writes the marker `making` to a disk. It is written before any other change, so that an interrupted run can continue.
 */
export async function startAgain(context: Context, device: string): Promise<void> {
  writeDiskMarker(context, device, 'making', '');
  await settle(context);
}

/** Waits for udev, which rereads the partition table after a write to the disk and briefly removes the partitions. */
async function settle({ reader, runAlways }: Context): Promise<void> {
  if (reader.stat('/run/udev/control') === undefined) return;
  await runAlways('/usr/bin/udevadm', ['settle', '--timeout=30']);
}

async function waitForPartition(reader: SystemReader, node: string): Promise<string> {
  for (let tries = 0; tries < 50; tries++) {
    const [only] = partitionsOf(reader, node);
    const file = only === undefined ? undefined : `/dev/${path.basename(only)}`;
    if (file !== undefined && reader.stat(file) !== undefined) return file;
    await sleep(200);
  }
  throw new SystemError(
    `parted created a partition on /dev/${path.basename(node)}, but its device did not appear within 10 s`,
  );
}
