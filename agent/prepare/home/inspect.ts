import path from 'node:path';
import type { SystemReader } from '../../system/reader.ts';
import { findLeaves, nodeOfSource } from '../../facts/disks/block.ts';
import { deviceFile } from '../../facts/disks/device-file.ts';
import { readSwaps } from '../../facts/disks/swaps.ts';
import type { Look } from '../engine/snapshot.ts';
import { type Mark, readDiskMark } from './progress-marker.ts';
import { findContent, probe } from './signatures.ts';
import { staging } from './places.ts';

/** A device as it is now, and whether /home can have it. */
export interface Inspected {
  /** The device's own file: /dev/vdb. */
  device: string;
  bytes: number;
  /** Where the file system is: the partition, or the device itself; undefined where there is none yet. */
  volume: { device: string; uuid: string; type: string } | undefined;
  /** What an earlier run left on it: it is taken up again. */
  mark: Mark | undefined;
  /** Why it cannot be had, whatever was asked for; a clause each, of which the device is the subject. */
  never: string[];
  /** What would be lost. */
  content: string[];
}

export type Around = Pick<Look, 'reader' | 'mounts' | 'disks' | 'systemDisks' | 'fstab'>;

/** The partition's name, by which an interrupted beginning of ours is known. */
export const partitionName = 'immutafs-home';

/**
 * Looks at the whole disk that is to become /home.
 * @param named by --home-device: /dev/vdb, or a link to it
 * @throws HostError where it cannot be looked at
 */
export async function inspectDisk(around: Around, named: string): Promise<Inspected> {
  const { reader } = around;
  const node = nodeOfSource(reader, named);
  const nothing = { device: named, bytes: 0, volume: undefined, mark: undefined, content: [] };
  if (node === undefined) return { ...nothing, never: ['is no block device of this guest'] };
  const name = path.basename(node);
  const device = `/dev/${name}`;
  const kind = wrongKind(reader, node);
  if (kind !== undefined) return { ...nothing, device, never: [kind] };
  const bytes = sizeOf(reader, node);
  const never = [...hardware(reader, node, bytes), ...uses(around, node, name)];
  if (never.length > 0) return { ...nothing, device, bytes, never };
  const partitions = partitionsOf(reader, node);
  const { mark, volume } = await findOurs(reader, device, partitions);
  if (mark !== undefined) return { device, bytes, volume, mark, never, content: [] };
  const content = await contentOf(reader, device, node, partitions);
  return { device, bytes, volume: undefined, mark: undefined, never, content };
}

/** Looks at the file system that is to become /home. Whether it is empty is seen when it is mounted. */
export async function inspectFileSystem(around: Around, uuid: string): Promise<Inspected> {
  const { reader } = around;
  const source = `UUID=${uuid}`;
  const node = nodeOfSource(reader, source);
  const nothing = { volume: undefined, mark: undefined, content: [] };
  if (node === undefined || deviceFile(source) === undefined) {
    return { ...nothing, device: source, bytes: 0, never: ['is no file system of this guest'] };
  }
  const name = path.basename(node);
  const device = `/dev/${name}`;
  const bytes = sizeOf(reader, node);
  const { TYPE: type = '' } = await probe(reader, device);
  const never = [...hardware(reader, node, bytes), ...uses(around, node, name)];
  if (type !== 'xfs' && type !== 'ext4') {
    never.push(`holds ${type === '' ? 'no file system that blkid knows' : type}, not XFS or ext4`);
  }
  return { ...nothing, device, bytes, volume: { device, uuid, type }, never };
}

/** The partitions' folders in sysfs, in the order of their numbers. */
export function partitionsOf(reader: SystemReader, node: string): string[] {
  const folders = reader.list(node).filter((name) => reader.stat(`${node}/${name}`)?.kind === 'directory');
  const found = folders.filter((name) => reader.stat(`${node}/${name}/partition`) !== undefined);
  const number = (name: string) => Number(reader.read(`${node}/${name}/partition`));
  return found.sort((one, other) => number(one) - number(other)).map((name) => `${node}/${name}`);
}

/** In sysfs it is counted in 512 bytes, whatever the disk's sectors are. */
export function sizeOf(reader: SystemReader, node: string): number {
  return Number(reader.read(`${node}/size`)) * 512;
}

function wrongKind(reader: SystemReader, node: string): string | undefined {
  const name = path.basename(node);
  if (reader.stat(`${node}/partition`) !== undefined) {
    return `is a partition: name the whole disk /dev/${path.basename(path.dirname(node))}, or a file system by --home-uuid`;
  }
  if (/^(dm-|md)/.test(name)) {
    return 'is a volume of LVM, device-mapper or md, not a disk: make a file system on it and name that by --home-uuid';
  }
  return /^(ram|zram|sr|fd)\d/.test(name) ? 'is no disk that is there at the next boot' : undefined;
}

function hardware(reader: SystemReader, node: string, bytes: number): string[] {
  if (bytes === 0) return ['has no size: is there a medium?'];
  return reader.read(`${node}/ro`).trim() === '0' ? [] : ['is read-only'];
}

/** Who has it, or a part of it, now or at the next boot. */
function uses({ reader, mounts, disks, systemDisks, fstab }: Around, node: string, name: string): string[] {
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

/** Volumes of LVM, LUKS, multipath, md, bcache that are made of it. */
function holdersOf(reader: SystemReader, node: string): string[] {
  if (reader.stat(`${node}/holders`) === undefined) return [];
  return reader.list(`${node}/holders`).map((holder) => {
    const named = `/sys/class/block/${holder}/dm/name`;
    return reader.stat(named) === undefined ? holder : `${reader.read(named).trim()} (${holder})`;
  });
}

/** A mark of ours counts only where everything else on the disk is ours, too. */
async function findOurs(
  reader: SystemReader,
  device: string,
  partitions: string[],
): Promise<Pick<Inspected, 'mark' | 'volume'>> {
  const mark = readDiskMark(reader, device);
  const [only, ...more] = partitions;
  if (mark === undefined || more.length > 0) return { mark: undefined, volume: undefined };
  if (only === undefined) return { mark: mark.progress === 'making' ? mark : undefined, volume: undefined };
  const partition = `/dev/${path.basename(only)}`;
  const { PART_ENTRY_NAME, TYPE: type = '', UUID: uuid = '' } = await probe(reader, partition);
  if (PART_ENTRY_NAME !== partitionName) return { mark: undefined, volume: undefined };
  if (mark.progress === 'making') return { mark, volume: undefined };
  if (type !== 'xfs' || uuid !== mark.uuid) return { mark: undefined, volume: undefined };
  return { mark, volume: { device: partition, uuid, type } };
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
