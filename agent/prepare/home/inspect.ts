import path from 'node:path';
import { SystemError } from '../../lib/errors.ts';
import { formatBytes } from '../../lib/format.ts';
import type { SystemReader } from '../../system/reader.ts';
import { findLeaves } from '../../facts/disks/block.ts';
import { nodeOfSource } from '../../facts/disks/sources.ts';
import { readSwaps } from '../../facts/disks/disks.ts';
import type { Context } from '../engine/context.ts';
import { type Snapshot, readSnapshot } from '../engine/snapshot.ts';
import { deviceOf, findContent, partitionsOf, probe, sizeOf } from '../move/devices.ts';
import { readMoves } from '../move/record.ts';

export interface Volume {
  /** The partition or whole device that contains the file system. */
  device: string;
  uuid: string;
  type: string;
}

export interface Inspected {
  /** The canonical device file, for example /dev/vdb. */
  device: string;
  bytes: number;
  /** Undefined before the file system exists. */
  volume: Volume | undefined;
  /** The reasons why the device cannot become /home with any options; clauses whose subject is the device. */
  never: string[];
  content: string[];
}

/** The name of the partition for /home. An interrupted run continues on a disk only if its partition has this name. */
export const partitionName = 'immutafs-home';

/**
 * Returns the reasons why a device cannot become /home, one sentence each.
 * @param named the device as named on the command line
 * @param wipe whether --wipe names the device, so that its content may be destroyed
 */
export function refusals(
  { never, content, bytes, device }: Inspected,
  named: string,
  wipe: boolean,
): string[] {
  const size = bytes > 0 ? ` (${formatBytes(bytes)})` : '';
  const subject = named === device || named.startsWith('UUID=') ? named : `${named}, that is ${device},`;
  if (never.length > 0) return never.map((clause) => `${subject}${size} ${clause}.`);
  if (content.length === 0 || wipe) return [];
  return [
    `${subject}${size} is not empty: it contains ${content.join(', ')}. To destroy this content, add --wipe ${device}.`,
  ];
}

/** Inspects a device again, right before it is used. @throws SystemError if it cannot become /home */
export async function expectUsable({ reader }: Context, named: string, wipe: boolean): Promise<Inspected> {
  const inspected = await inspect(readSnapshot(reader), named);
  const problems = refusals(inspected, named, wipe);
  if (problems.length > 0) throw new SystemError(problems.join(' '));
  return inspected;
}

/**
 * Inspects a device that is to become /home. Whether an existing file system is empty is not determined, because that
 * requires a mount (move/planning.ts).
 * @param named a whole disk (/dev/vdb, or a link to it), or a file system (UUID=…)
 * @throws SystemError if the device cannot be read
 */
export async function inspect(snapshot: Snapshot, named: string): Promise<Inspected> {
  const { reader } = snapshot;
  const uuid = /^UUID=(.+)$/.exec(named)?.[1];
  const node = nodeOfSource(reader, named);
  const nothing = { device: named, bytes: 0, volume: undefined, content: [] };
  if (node === undefined)
    return {
      ...nothing,
      never: [`is not a ${uuid === undefined ? 'block device' : 'file system'} of this guest`],
    };
  const device = deviceOf(node);
  const kind = uuid === undefined ? wrongKind(reader, node) : undefined;
  if (kind !== undefined) return { ...nothing, device, never: [kind] };
  const bytes = sizeOf(reader, node);
  const never = [...hardware(reader, node, bytes), ...uses(snapshot, node)];
  const inspected = { ...nothing, device, bytes, never };
  if (uuid !== undefined) {
    const { TYPE: type = '' } = await probe(reader, device);
    if (type !== 'xfs' && type !== 'ext4')
      never.push(`holds ${type === '' ? 'no file system that blkid knows' : type}, not XFS or ext4`);
    return { ...inspected, volume: { device, uuid, type } };
  }
  if (never.length > 0) return inspected;
  const ours = await findOurs(reader, node);
  return ours === undefined
    ? { ...inspected, content: await contentOf(reader, node) }
    : { ...inspected, ...ours };
}

function wrongKind(reader: SystemReader, node: string): string | undefined {
  const name = path.basename(node);
  if (reader.stat(`${node}/partition`) !== undefined) {
    return `is a partition: name the whole disk with --home-device /dev/${path.basename(path.dirname(node))}, or a file system with --home-uuid`;
  }
  if (/^(dm-|md)/.test(name)) {
    return 'is a volume of LVM, device-mapper or md, not a disk: create a file system on it and name it with --home-uuid';
  }
  return /^(ram|zram|sr|fd)\d/.test(name) ? 'is not a persistent disk: name another disk' : undefined;
}

function hardware(reader: SystemReader, node: string, bytes: number): string[] {
  if (bytes === 0) return ['has no size: check whether it has a medium'];
  return reader.read(`${node}/ro`).trim() === '0'
    ? []
    : ['is read-only: name another disk, or make it writable on the host'];
}

/** Returns the reasons why a device or one of its partitions is in use, now or at the next boot. */
function uses({ reader, mounts, disks, systemDisks, fstab }: Snapshot, node: string): string[] {
  const leaves = findLeaves(reader, node).map((leaf) => path.basename(leaf));
  const system = leaves.filter((name) => systemDisks.includes([{ name }]));
  if (system.length > 0) {
    const held = disks.find((disk) => disk.name === system[0])?.holds.join(' ') ?? '';
    return [
      `is ${system[0] === path.basename(node) ? "the system's own disk" : `on the system's own disk ${system[0]}`} (${held}), which the host makes read-only`,
    ];
  }
  const nodes = [node, ...partitionsOf(reader, node)];
  const numbers = new Set(nodes.map((each) => reader.read(`${each}/dev`).trim()));
  const mounted = mounts.all.filter((mount) => numbers.has(mount.device));
  const lines = fstab.lines.filter(({ device }) => device !== undefined && numbers.has(device));
  const swaps = readSwaps(reader).filter(({ device }) => device !== undefined && numbers.has(device));
  const holders = nodes.flatMap((each) => holdersOf(reader, each));
  return [
    ...mounted.map(({ target }) => `is mounted at ${target}`),
    ...swaps.map(({ source }) => `is in use as swap (${source})`),
    ...holders.map((holder) => `is in use by ${holder}`),
    ...lines.map(({ line, target }) => `is named in line ${line} of /etc/fstab, for ${target}`),
  ];
}

/** Returns the volumes of LVM, LUKS, multipath, md and bcache that use a device. */
function holdersOf(reader: SystemReader, node: string): string[] {
  if (reader.stat(`${node}/holders`) === undefined) return [];
  return reader.list(`${node}/holders`).map((holder) => {
    const named = `/sys/class/block/${holder}/dm/name`;
    return reader.stat(named) === undefined ? holder : `${reader.read(named).trim()} (${holder})`;
  });
}

/**
 * Returns what an earlier run of prepare has made on a disk: our partition, without a file system or with the one to which a
 * move of /home is recorded.
 */
async function findOurs(reader: SystemReader, node: string): Promise<Pick<Inspected, 'volume'> | undefined> {
  const found = await ourPartition(reader, node);
  if (found === undefined) return undefined;
  const { only, volume } = found;
  if (volume.type === '')
    return (await findContent(reader, only)).length === 0 ? { volume: undefined } : undefined;
  const isRecorded = readMoves(reader).moves.some(({ place }) => place.fs === volume.uuid);
  return volume.type === 'xfs' && isRecorded ? { volume } : undefined;
}

/** Returns the file system that prepare has made on a disk. */
export async function volumeOn(reader: SystemReader, disk: string): Promise<Volume | undefined> {
  const volume = (await ourPartition(reader, nodeOfSource(reader, disk) ?? ''))?.volume;
  return volume?.type === 'xfs' ? volume : undefined;
}

/** Returns the partition of a disk if it is the only one and has our name, with what blkid(8) finds on it. */
async function ourPartition(
  reader: SystemReader,
  node: string,
): Promise<{ only: string; volume: Volume } | undefined> {
  const [only, ...more] = partitionsOf(reader, node);
  if (only === undefined || more.length > 0) return undefined;
  const device = deviceOf(only);
  const { PART_ENTRY_NAME, TYPE: type = '', UUID: uuid = '' } = await probe(reader, device);
  return PART_ENTRY_NAME === partitionName ? { only, volume: { device, uuid, type } } : undefined;
}

async function contentOf(reader: SystemReader, node: string): Promise<string[]> {
  const found = await findContent(reader, node);
  for (const partition of partitionsOf(reader, node)) {
    const inside = await findContent(reader, partition);
    found.push(
      `the partition ${deviceOf(partition)}${inside.length === 0 ? '' : ` with ${inside.join(' and ')}`}`,
    );
  }
  return found;
}
