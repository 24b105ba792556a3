import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { HostError } from '../../lib/errors.ts';
import { nodeOfSource } from '../../facts/disks/block.ts';
import { type Inspected, partitionName, partitionsOf } from './inspect.ts';
import { formatMark, markOffset } from './progress-marker.ts';
import { probe } from './signatures.ts';
import type { Move } from './abortable.ts';

export type Volume = NonNullable<Inspected['volume']>;

/**
 * Partitions a disk and makes its file system, as in the seed; a run that is interrupted is begun again. GPT: the
 * seed's command takes the table that is there, and this disk has none; msdos ends at 2 TiB and has no names.
 */
export async function makeVolume(move: Move, { device, mark }: Inspected): Promise<Volume> {
  const { reader, writer, must } = move;
  // First, so that a disk on which anything of ours is found is known to be ours.
  writer.writeAt(device, markOffset, formatMark({ progress: 'making', uuid: '', seconds: now(move) }));
  await settle(move);
  const node = nodeOfSource(reader, device) ?? '';
  if (mark === undefined) {
    const old = partitionsOf(reader, node).map((partition) => `/dev/${path.basename(partition)}`);
    for (const each of [...old, device]) await must('/usr/sbin/wipefs', '--all', each);
  }
  await must('/usr/sbin/parted', '--script', '--align', 'optimal', device, ...table);
  await settle(move);
  const partition = await waitForPartition(move, node);
  move.say(`Making an XFS file system on ${partition}`);
  await must('/usr/sbin/mkfs.xfs', '-q', '-f', partition);
  await settle(move);
  const { UUID: uuid = '', TYPE: type } = await probe(reader, partition);
  if (type !== 'xfs' || uuid === '') throw new HostError(`no XFS is on ${partition} though it was made`);
  return { device: partition, uuid, type };
}

const table = ['mklabel', 'gpt', 'unit', '%', 'mkpart', partitionName, 'xfs', '0', '100'];

export function now({ reader }: Pick<Move, 'reader'>): number {
  return Math.floor(reader.now().getTime() / 1000);
}

/** udev reads a disk again that was written to: for a moment its partitions are gone. */
export async function settle({ reader, always }: Move): Promise<void> {
  if (reader.stat('/run/udev/control') === undefined) return;
  await always('/usr/bin/udevadm', 'settle', '--timeout=30');
}

async function waitForPartition({ reader }: Move, node: string): Promise<string> {
  for (let tries = 0; tries < 50; tries++) {
    const [only] = partitionsOf(reader, node);
    const file = only === undefined ? undefined : `/dev/${path.basename(only)}`;
    if (file !== undefined && reader.stat(file) !== undefined) return file;
    await sleep(200);
  }
  throw new HostError(`the kernel shows no partition of /dev/${path.basename(node)} though one was made`);
}
