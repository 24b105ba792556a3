import path from 'node:path';
import type { SystemReader } from '../../system/reader.ts';
import { findLeaves, nodeOfSource } from '../../facts/disks/block.ts';
import { deviceFile } from '../../facts/disks/device-file.ts';
import { readSwaps } from '../../facts/disks/swaps.ts';
import type { Snapshot } from '../engine/snapshot.ts';
import { staging } from '../move/mounting.ts';
import { type ProgressMarker, readDiskMarker } from './progress-marker.ts';
import { findContent, probe } from './signatures.ts';

/** A file system for /home. */
export interface Volume {
  /** The partition or whole device that contains the file system. */
  device: string;
  uuid: string;
  type: string;
}

/** The state of a device, and whether it can become /home. */
export interface Inspected {
  /** The canonical device file, for example /dev/vdb. */
  device: string;
  bytes: number;
  /** Undefined before the file system exists. */
  volume: Volume | undefined;
  /** The marker of an interrupted run, which will be continued. */
  marker: ProgressMarker | undefined;
  /** The reasons why the device cannot become /home with any options; clauses whose subject is the device. */
  never: string[];
  /** Descriptions of the content that would be destroyed. */
  content: string[];
}

type Surroundings = Pick<Snapshot, 'reader' | 'mounts' | 'disks' | 'systemDisks' | 'fstab'>;

/** The name of the partition for /home. An interrupted run continues on a disk only if its partition has this name. */
export const partitionName = 'immutafs-home';

/**
 * Inspects a device that is to become /home.
 * @param named a whole disk (/dev/vdb, or a link to it), or a file system (UUID=…)
 * @throws SystemError if the device cannot be read
 */
export function inspect(snapshot: Surroundings, named: string): Promise<Inspected> {
  const uuid = /^UUID=(.+)$/.exec(named)?.[1];
  return uuid === undefined ? inspectDisk(snapshot, named) : inspectFileSystem(snapshot, uuid);
}

async function inspectDisk(snapshot: Surroundings, named: string): Promise<Inspected> {
  const { reader } = snapshot;
  const node = nodeOfSource(reader, named);
  const nothing = { device: named, bytes: 0, volume: undefined, marker: undefined, content: [] };
  if (node === undefined) return { ...nothing, never: ['is not a block device of this guest'] };
  const name = path.basename(node);
  const device = `/dev/${name}`;
  const kind = wrongKind(reader, node);
  if (kind !== undefined) return { ...nothing, device, never: [kind] };
  const bytes = sizeOf(reader, node);
  const never = [...hardware(reader, node, bytes), ...uses(snapshot, node, name)];
  if (never.length > 0) return { ...nothing, device, bytes, never };
  const partitions = partitionsOf(reader, node);
  const { marker, volume } = await findOurs(reader, device, partitions);
  if (marker !== undefined) return { device, bytes, volume, marker, never, content: [] };
  const content = await contentOf(reader, device, node, partitions);
  return { device, bytes, volume: undefined, marker: undefined, never, content };
}

/** Does not determine whether the file system is empty, because that requires a mount (see `fileMarker`). */
async function inspectFileSystem(snapshot: Surroundings, uuid: string): Promise<Inspected> {
  const { reader } = snapshot;
  const source = `UUID=${uuid}`;
  const node = nodeOfSource(reader, source);
  const nothing = { volume: undefined, marker: undefined, content: [] };
  if (node === undefined || deviceFile(source) === undefined) {
    return { ...nothing, device: source, bytes: 0, never: ['is not a file system of this guest'] };
  }
  const name = path.basename(node);
  const device = `/dev/${name}`;
  const bytes = sizeOf(reader, node);
  const { TYPE: type = '' } = await probe(reader, device);
  const never = [...hardware(reader, node, bytes), ...uses(snapshot, node, name)];
  if (type !== 'xfs' && type !== 'ext4') {
    never.push(`holds ${type === '' ? 'no file system that blkid knows' : type}, not XFS or ext4`);
  }
  return { ...nothing, device, bytes, volume: { device, uuid, type }, never };
}

/** Returns the sysfs directories of the partitions of a disk, ordered by partition number. */
export function partitionsOf(reader: SystemReader, node: string): string[] {
  const folders = reader.list(node).filter((name) => reader.stat(`${node}/${name}`)?.kind === 'directory');
  const found = folders.filter((name) => reader.stat(`${node}/${name}/partition`) !== undefined);
  const number = (name: string) => Number(reader.read(`${node}/${name}/partition`));
  return found.sort((one, other) => number(one) - number(other)).map((name) => `${node}/${name}`);
}

/** Returns the size of a device in bytes. sysfs counts in units of 512 bytes, regardless of the sector size. */
export function sizeOf(reader: SystemReader, node: string): number {
  return Number(reader.read(`${node}/size`)) * 512;
}

function wrongKind(reader: SystemReader, node: string): string | undefined {
  const name = path.basename(node);
  if (reader.stat(`${node}/partition`) !== undefined) {
    return `is a partition: name the whole disk with --home-device /dev/${path.basename(path.dirname(node))}, or a file system with --home-uuid`;
  }
  if (/^(dm-|md)/.test(name)) {
    return 'is a volume of LVM, device-mapper or md, not a disk: create a file system on it and name it with --home-uuid';
  }
  return /^(ram|zram|sr|fd)\d/.test(name) ? 'is not a persistent disk' : undefined;
}

function hardware(reader: SystemReader, node: string, bytes: number): string[] {
  if (bytes === 0) return ['has no size: check whether it has a medium'];
  return reader.read(`${node}/ro`).trim() === '0' ? [] : ['is read-only'];
}

/** Returns the reasons why a device or one of its partitions is in use, now or at the next boot. */
function uses(
  { reader, mounts, disks, systemDisks, fstab }: Surroundings,
  node: string,
  name: string,
): string[] {
  const leaves = findLeaves(reader, node).map((leaf) => path.basename(leaf));
  const system = leaves.filter((name) => systemDisks.includes([{ name }]));
  if (system.length > 0) {
    const held = disks.find((disk) => disk.name === system[0])?.holds.join(' ') ?? '';
    return [
      `is ${system[0] === name ? "the system's own disk" : `on the system's own disk ${system[0]}`} (${held}), which the host makes read-only`,
    ];
  }
  const nodes = [node, ...partitionsOf(reader, node)];
  const numbers = new Set(nodes.map((each) => reader.read(`${each}/dev`).trim()));
  const mounted = mounts.all.filter((mount) => numbers.has(mount.device) && mount.target !== staging);
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

/** Returns the progress marker of a disk, but only if the partition and file system on the disk match it. */
async function findOurs(
  reader: SystemReader,
  device: string,
  partitions: string[],
): Promise<Pick<Inspected, 'marker' | 'volume'>> {
  const marker = readDiskMarker(reader, device);
  const [only, ...more] = partitions;
  if (marker === undefined || more.length > 0) return { marker: undefined, volume: undefined };
  if (only === undefined)
    return { marker: marker.progress === 'making' ? marker : undefined, volume: undefined };
  const partition = `/dev/${path.basename(only)}`;
  const { PART_ENTRY_NAME, TYPE: type = '', UUID: uuid = '' } = await probe(reader, partition);
  if (PART_ENTRY_NAME !== partitionName) return { marker: undefined, volume: undefined };
  if (marker.progress === 'making') return { marker, volume: undefined };
  if (type !== 'xfs' || uuid !== marker.uuid) return { marker: undefined, volume: undefined };
  return { marker, volume: { device: partition, uuid, type } };
}

async function contentOf(
  reader: SystemReader,
  device: string,
  node: string,
  partitions: string[],
): Promise<string[]> {
  const found = await findContent(reader, device, sizeOf(reader, node));
  for (const partition of partitions) {
    const file = `/dev/${path.basename(partition)}`;
    const inside = await findContent(reader, file, sizeOf(reader, partition));
    found.push(`the partition ${file}${inside.length === 0 ? '' : ` with ${inside.join(' and ')}`}`);
  }
  return found;
}
