import { setTimeout as sleep } from 'node:timers/promises';
import { SystemError } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import { nodeOfSource } from '../../facts/disks/sources.ts';
import type { ActionOf, Context } from '../engine/context.ts';
import { deviceOf, partitionsOf, probe } from '../move/devices.ts';
import { expectUsable, partitionName } from './inspect.ts';

/** The table is GPT, because an msdos table is limited to 2 TiB and has no partition names. */
const table = ['mklabel', 'gpt', 'unit', '%', 'mkpart', partitionName, 'xfs', '0', '100'];

/** Creates the partition for /home. @throws SystemError if the disk must not be used; nothing is then written */
export async function partitionHome(
  context: Context,
  { disk, wipe }: ActionOf<'partition-home'>,
): Promise<void> {
  const { reader, run } = context;
  const { device } = await expectUsable(context, disk, wipe);
  const old = partitionsOf(reader, nodeOfSource(reader, device) ?? '').map(deviceOf);
  for (const each of [...old, device]) await run('/usr/sbin/wipefs', ['--all', each]);
  await run('/usr/sbin/parted', ['--script', '--align', 'optimal', device, ...table]);
  await settle(context);
}

/** Creates the file system. */
export async function formatHome(context: Context, { disk }: ActionOf<'format-home'>): Promise<void> {
  const { reader, run } = context;
  const device = await waitForPartition(reader, nodeOfSource(reader, disk) ?? '');
  context.say(`Making an XFS file system on ${device}`);
  await run('/usr/sbin/mkfs.xfs', ['-q', '-f', device]);
  await settle(context);
  const { UUID: uuid = '', TYPE: type } = await probe(reader, device);
  if (type !== 'xfs' || uuid === '')
    throw new SystemError(`mkfs.xfs succeeded, but ${device} has no XFS: see dmesg, and run prepare again`);
}

/** Waits for udev, which rereads the partition table after a write to the disk and briefly removes the partitions. */
async function settle({ reader, run }: Context): Promise<void> {
  if (reader.stat('/run/udev/control') === undefined) return;
  await run('/usr/bin/udevadm', ['settle', '--timeout=30']);
}

async function waitForPartition(reader: SystemReader, node: string): Promise<string> {
  for (let tries = 0; tries < 50; tries++) {
    const [device] = partitionsOf(reader, node).map(deviceOf);
    if (device !== undefined && reader.stat(device) !== undefined) return device;
    await sleep(200);
  }
  throw new SystemError(
    `parted created a partition on ${deviceOf(node)}, but its device did not appear within 10 s: see dmesg, and run prepare again`,
  );
}
