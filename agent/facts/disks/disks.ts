import path from 'node:path';
import type { SystemReader } from '../../system/reader.ts';
import { blockNodes, findLeaves, mayHaveOtherDevices, nodeOfFile } from './block.ts';
import { nodeOfMount } from './sources.ts';
import { type Evidence, findEvidence, ofGuest } from './evidence.ts';
import { readUdevRecord, deviceFile } from './tags.ts';
import { scsiEvidence } from './write-protect.ts';
import type { Mount } from '../mounts/mountinfo.ts';
import { unescapeOctal } from '../../lib/format.ts';

export interface Disk extends Evidence {
  /** Kernel name: vda, sdb. */
  name: string;
  bus: string;
  /** The serial number by which the host can tell which of its disks this is; null if the disk has none. */
  serial: string | null;
  /** The mount points of the file systems on the disk. */
  holds: string[];
}

/**
 * Finds the disks below the mounted file systems, through partitions and stacks of devices, and other paths to them.
 * @param lastEvidence returns the evidence for a disk, by name, in the last report of this boot
 */
export function findDisks(
  reader: SystemReader,
  mounts: readonly Mount[],
  lastEvidence: (name: string) => Evidence | undefined = () => undefined,
): Disk[] {
  const holds = new Map<string, Set<string>>();
  const unproven = new Map<string, Mount>();
  for (const { leaves, targets, first } of devices(reader, mounts)) {
    for (const leaf of leaves) {
      if (mayHaveOtherDevices(first)) unproven.set(leaf, first);
      const held = holds.get(leaf) ?? new Set();
      for (const target of targets) held.add(target);
      holds.set(leaf, held);
    }
  }
  return withOtherPaths(reader, holds)
    .map(({ node, held, sameAs }) => {
      const disk = withoutProof(describeDisk(reader, node, lastEvidence), unproven.get(node));
      const path = sameAs === undefined ? '' : `; another path to ${sameAs}, by its serial number`;
      return { ...disk, evidence: `${disk.evidence}${path}`, holds: [...held] };
    })
    .sort((a, b) => a.name.localeCompare(b.name));
}

/** @param mount a mount of the disk whose file system may have other devices */
function withoutProof(disk: Omit<Disk, 'holds'>, mount: Mount | undefined): Omit<Disk, 'holds'> {
  if (mount === undefined || disk.hostReadOnly === false) return disk;
  const evidence = `${disk.evidence}, but ${mount.target} is ${mount.type}, which may have other devices`;
  return { ...disk, hostReadOnly: false, evidence };
}

/**
 * Adds the other paths to the given disks. A host may attach the same disk several times, and a write through one path
 * changes the disk below all of them. Paths have the same serial number, which the host sets. All paths hold the same
 * file systems.
 * @param holds the mount points, by the sysfs directory of the disk
 * @returns `sameAs`: the name of a mounted disk to which the node is another path
 */
function withOtherPaths(reader: SystemReader, holds: ReadonlyMap<string, ReadonlySet<string>>) {
  const mounted = [...holds].map(([node, held]) => ({ node, held, serial: serialOf(reader, node) }));
  const others = otherDisks(reader, holds).map((node) => ({
    node,
    held: new Set<string>(),
    serial: serialOf(reader, node),
  }));
  return [...mounted, ...others].flatMap(({ node, held, serial }) => {
    const same = serial === '' ? [] : mounted.filter((one) => one.serial === serial && one.node !== node);
    if (!holds.has(node) && same.length === 0) return [];
    const all = new Set([...held, ...same.flatMap((one) => [...one.held])]);
    const [first] = same;
    return [{ node, held: all, sameAs: first && path.basename(first.node) }];
  });
}

/** Returns the sysfs directories of the disks that have no mounted file system. */
function otherDisks(reader: SystemReader, holds: ReadonlyMap<string, unknown>): string[] {
  return blockNodes(reader)
    .filter((node) => !holds.has(node) && !node.includes('/virtual/'))
    .filter((node) => reader.stat(`${node}/partition`) === undefined);
}

/**
 * Returns the serial number of a disk in udev's database; empty if the host gave the disk none. Without a serial number,
 * ID_SERIAL of a SCSI disk contains only its vendor and model.
 */
function serialOf(reader: SystemReader, node: string): string {
  if (reader.stat(`${node}/dev`) === undefined) return '';
  const record = readUdevRecord(reader, reader.read(`${node}/dev`).trim());
  const serial = record.get('ID_SERIAL') ?? '';
  const isBare = (record.get('ID_SERIAL_SHORT') ?? '') === '' && !path.basename(node).startsWith('vd');
  return isBare ? '' : serial;
}

/** Describes a disk except for its mount points. @param node the sysfs directory of the disk */
export function describeDisk(
  reader: SystemReader,
  node: string,
  lastEvidence: (name: string) => Evidence | undefined,
): Omit<Disk, 'holds'> {
  const name = path.basename(node);
  const serial = serialOf(reader, node) || null;
  return {
    name,
    bus: busOf(node, name),
    serial,
    ...findEvidence(reader, node, scsiEvidence(reader, lastEvidence)),
  };
}

/** Returns the disks and mount points of each mounted device; several mounts of the same device form one element. */
function devices(reader: SystemReader, mounts: readonly Mount[]) {
  const byDevice = Map.groupBy(mounts, ({ device, type, source }) =>
    device.startsWith('0:') ? (type === 'btrfs' ? source : '') : device,
  );
  byDevice.delete('');
  return [...byDevice.values()].flatMap((group) => {
    const [first] = group;
    const node = first && nodeOfMount(reader, first);
    if (first === undefined || node === undefined) return [];
    return [{ first, leaves: findLeaves(reader, node), targets: group.map(({ target }) => target) }];
  });
}

function busOf(node: string, name: string): string {
  if (/^vd[a-z]+$/.test(name) && /\/virtio\d+\//.test(node)) return 'virtio-blk';
  if (/\/virtio\d+\/host\d+\//.test(node)) return 'virtio-scsi';
  if (name.startsWith('nvme')) return 'nvme';
  if (name.startsWith('xvd')) return 'xen';
  if (/\/ata\d+\//.test(node)) return 'ata';
  if (/\/usb\d+\//.test(node)) return 'usb';
  if (/\/host\d+\//.test(node)) return 'scsi';
  return node.includes('/virtual/') ? 'virtual' : 'other';
}

/**
 * Whether a disk is of a kind that is not supported as a system disk (docs/host.md), because it cannot report that the host made it
 * read-only. `scsi` includes pvscsi, which can; the evidence distinguishes the other adapters when the disk is read-only.
 */
export function isUnsupported({ bus, evidence }: Pick<Disk, 'bus' | 'evidence'>): boolean {
  return !['virtio-blk', 'virtio-scsi', 'scsi', 'virtual'].includes(bus) || evidence.startsWith(ofGuest);
}

/** The device that a line of fstab or /proc/swaps names. */
export interface NamedDevice {
  /** "major:minor"; undefined if the device does not exist, or the line names no device. */
  device: string | undefined;
  /** Whether the line names a device that does not exist. */
  missing: boolean;
  /** The disks below the device. */
  disks: { name: string; readOnly: boolean }[];
  /** "major:minor" of the other devices with the same identity, as far as assess/ knows them. */
  copies: string[];
}

/**
 * Finds the device of a device file, which may be a udev link.
 * @param file undefined for a source that is not a device
 * @throws SystemError
 */
export function findNamedDevice(reader: SystemReader, file: string | undefined): NamedDevice {
  const node = nodeOfFile(reader, file);
  if (node === undefined) return { device: undefined, missing: file !== undefined, disks: [], copies: [] };
  const disks = findLeaves(reader, node).map((leaf) => {
    const { name, readOnly } = describeDisk(reader, leaf, () => undefined);
    return { name, readOnly };
  });
  return { device: reader.read(`${node}/dev`).trim(), missing: false, disks, copies: [] };
}

/** A line of /proc/swaps (proc(5)). */
interface Swap {
  source: string;
  type: 'partition' | 'file';
}

/**
 * Returns the swap spaces in use, each with its device. A kernel without swap support has no /proc/swaps; the result is
 * then empty.
 * @throws SystemError
 */
export function readSwaps(reader: SystemReader): (Swap & NamedDevice)[] {
  const text = reader.readIfPresent('/proc/swaps', 1024 * 1024);
  if (text === undefined || text === '') return [];
  return parseSwaps(text).map((swap) => ({ ...swap, ...findNamedDevice(reader, deviceFile(swap.source)) }));
}

/** Parses /proc/swaps. @throws Error that names the malformed line */
export function parseSwaps(text: string): Swap[] {
  const lines = text.split('\n').filter((line) => line !== '');
  if (!lines[0]?.startsWith('Filename')) throw new Error('/proc/swaps does not begin with its heading');
  return lines.slice(1).map((line, index) => {
    // Not \s, because in JavaScript it also matches some bytes of UTF-8 characters.
    const [, source = '', type = ''] = /^([^ \t]+)[ \t]+(partition|file)[ \t]/.exec(line) ?? [];
    if (type === '') throw new Error(`/proc/swaps line ${index + 2} is malformed`);
    return {
      // The kernel appends " (deleted)" to the name of a removed file.
      source: unescapeOctal(source).replace(/ \(deleted\)$/, ''),
      type: type === 'file' ? 'file' : 'partition',
    };
  });
}
