import { errorCode } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import { deviceFile, findLeaves, nodeOfFile } from '../disks/block.ts';
import type { BlockDevice } from '../disks/block-devices.ts';
import { describeDisk } from '../disks/disks.ts';
import { type Fstab, type FstabLine, parseFstab } from './fstab.ts';
import { bestSealed, carriersByTag } from '../../assess/impostors.ts';
import type { Swap } from '../disks/swaps.ts';
import { parseSwaps } from '../disks/swaps.ts';
import { tagKey, tagOfFile } from '../disks/tags.ts';

/** A device as fstab or the list of swaps names it. */
export interface Named {
  /** "major:minor"; undefined where there is no such device now, or none is meant. */
  device: string | undefined;
  /** It names a device that is not there. */
  missing: boolean;
  /** The disks under it. */
  disks: { name: string; readOnly: boolean }[];
  /** Numbers of other devices with the same identity, where the named one is on a sealed disk. */
  copies: string[];
}

export type FstabEntry = FstabLine & Named;

/**
 * Without a file there are no lines.
 * @param devices where one on a sealed disk has the identity that a line asks for, it is the one that is meant,
 *     wherever udev's link points
 */
export function readFstab(reader: SystemReader, devices: readonly BlockDevice[]): DescribedFstab {
  return describeFstab(reader, readFstabText(reader) ?? '', devices);
}

export interface DescribedFstab {
  lines: FstabEntry[];
  problems: Fstab['problems'];
}

/** @returns one character a byte; null without a file */
export function readFstabText(reader: SystemReader): string | null {
  return optional(reader, '/etc/fstab');
}

/** The lines of a text, with the devices that they name. */
export function describeFstab(
  reader: SystemReader,
  text: string,
  devices: readonly BlockDevice[] = [],
): DescribedFstab {
  const { lines, problems } = parseFstab(text);
  const byTag = carriersByTag(devices);
  const named = (file: string | undefined) => onSealedDisk(byTag, file) ?? findNamed(reader, file);
  return { lines: lines.map((line) => ({ ...line, ...named(line.node) })), problems };
}

function onSealedDisk(
  byTag: ReadonlyMap<string, BlockDevice[]>,
  file: string | undefined,
): Named | undefined {
  const tag = tagOfFile(file);
  const carriers = tag === undefined ? [] : (byTag.get(tagKey(tag)) ?? []);
  const [genuine] = bestSealed(carriers);
  if (genuine === undefined) return undefined;
  const copies = carriers.filter((each) => each !== genuine).map(({ device }) => device);
  return { device: genuine.device, missing: false, disks: genuine.disks, copies };
}

/** A kernel without swap has no list. */
export function readSwaps(reader: SystemReader): (Swap & Named)[] {
  const text = optional(reader, '/proc/swaps');
  if (text === null || text === '') return [];
  return parseSwaps(text).map((swap) => ({ ...swap, ...findNamed(reader, deviceFile(swap.source)) }));
}

function findNamed(reader: SystemReader, file: string | undefined): Named {
  const node = nodeOfFile(reader, file);
  if (node === undefined) return { device: undefined, missing: file !== undefined, disks: [], copies: [] };
  const disks = findLeaves(reader, node).map((leaf) => {
    const { name, readOnly } = describeDisk(reader, leaf, () => undefined);
    return { name, readOnly };
  });
  return { device: reader.read(`${node}/dev`).trim(), missing: false, disks, copies: [] };
}

function optional(reader: SystemReader, file: string): string | null {
  try {
    return reader.read(file, 1024 * 1024);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  }
}
