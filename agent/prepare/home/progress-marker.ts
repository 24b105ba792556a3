import path from 'node:path';
import { SystemError } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import { nodeOfMount } from '../../facts/disks/sources.ts';
import type { Mount } from '../../facts/mounts/mountinfo.ts';
import type { Context } from '../engine/context.ts';
import { textBefore } from '../engine/part.ts';
import { markerFile } from '../move/copy.ts';
import { deviceOf, probe } from './devices.ts';

/**
 * The progress of a migration. It is stored on the new disk, so that a run after a power cut continues on this disk and
 * on no other. `making`: the disk is being partitioned and formatted. `copying`: /home is being copied to the new file
 * system. `copied`: every byte has been compared, and /etc/fstab is changed next. A disk that is in use as /home has no
 * marker.
 */
export interface ProgressMarker {
  progress: 'making' | 'copying' | 'copied';
  /** The UUID of the new file system; empty before the file system exists. */
  uuid: string;
  /** The time at which the marker was written, in seconds since the epoch. */
  seconds: number;
}

/** Where a marker is stored: on a whole disk, by its file in /dev, or in a file system, by its mount point. */
export type MarkerPlace = { device: string } | { root: string };

/**
 * The offset of the marker, in bytes, on a disk that contains only /home: after the partition table and before the
 * first partition, where no program writes. The marker takes one sector, because the write of a sector is atomic.
 */
const markerOffset = 512 * 1024;
const markerBytes = 512;

const sync = '/usr/bin/sync';

export function readMarker(reader: SystemReader, place: MarkerPlace): ProgressMarker | undefined {
  return 'device' in place
    ? parseMarker(reader.readAt(place.device, markerOffset, markerBytes))
    : parseMarker(textBefore(reader, `${place.root}/${markerFile}`, markerBytes) ?? '');
}

/**
 * Writes a marker; a marker in a file system is overwritten in place. When this returns, the marker is on the disk and,
 * unless it is `making`, all earlier writes are.
 * @param uuid the UUID of the new file system; empty before the file system exists
 * @throws SystemError if the file system has no marker and is not empty
 */
export async function writeMarker(
  { reader, writer, runAlways }: Context,
  place: MarkerPlace,
  progress: ProgressMarker['progress'],
  uuid: string,
): Promise<void> {
  // Read before the sync, which can take minutes. A file that is changed meanwhile is newer than the marker.
  const seconds = Math.floor(reader.now().getTime() / 1000);
  const text = formatMarker({ progress, uuid, seconds });
  // No earlier write matters for `making`, and the disk is not used for anything else between its check and the marker.
  if (progress !== 'making') await runAlways(sync, []);
  if ('device' in place) {
    writer.writeAt(place.device, markerOffset, text);
    return;
  }
  const file = `${place.root}/${markerFile}`;
  if (reader.stat(file) !== undefined) {
    writer.writeAt(file, 0, text);
    return;
  }
  const others = reader.list(place.root).filter((name) => name !== 'lost+found');
  if (others.length > 0)
    throw new SystemError(`the file system ${uuid} is not empty: ${others.slice(0, 5).join(', ')}`);
  writer.replaceText(file, text, 0o600);
}

/** Removes a marker. The times of the root directory of a file system are restored, because they are part of the copy. */
export async function clearMarker({ reader, writer, runAlways }: Context, place: MarkerPlace): Promise<void> {
  await runAlways(sync, []);
  if ('device' in place) {
    writer.writeAt(place.device, markerOffset, '\0'.repeat(markerBytes));
    return;
  }
  const file = `${place.root}/${markerFile}`;
  if (reader.stat(file) === undefined) return;
  const times = '/run/immutafs/prepare.times';
  await runAlways('/usr/bin/touch', ['--reference', place.root, times]);
  writer.remove(file);
  await runAlways('/usr/bin/touch', ['--reference', times, place.root]);
  writer.remove(times);
}

/**
 * Finds a marker on the disk or file system that is already in use as /home, left by a run interrupted after the cutover.
 * @returns its place, and the name of the disk or file system for messages
 */
export async function findStaleMarker(
  reader: SystemReader,
  home: Mount,
): Promise<{ place: MarkerPlace; disk: string } | undefined> {
  const node = nodeOfMount(reader, home);
  if (node === undefined) return undefined;
  const { UUID: uuid = '' } = await probe(reader, deviceOf(node));
  const inHome = { root: '/home' };
  if (readMarker(reader, inHome) !== undefined) return { place: inHome, disk: `UUID=${uuid}` };
  if (reader.stat(`${node}/partition`) === undefined) return undefined;
  const device = deviceOf(path.dirname(node));
  return readMarker(reader, { device })?.uuid === uuid ? { place: { device }, disk: device } : undefined;
}

/** Formats a marker. Every marker has the same length, so that it completely overwrites an earlier marker. */
export function formatMarker({ progress, uuid, seconds }: ProgressMarker): string {
  return `immutafs home ${progress} ${uuid === '' ? '-' : uuid} ${seconds}\n`.padEnd(markerBytes, '\0');
}

/** Parses a marker. @returns undefined for any text that `formatMarker` does not produce */
export function parseMarker(text: string): ProgressMarker | undefined {
  const found = /^immutafs home (making|copying|copied) (-|[\da-fA-F-]{8,36}) (\d{1,12})\n\0*$/.exec(text);
  if (found === null) return undefined;
  const [, progress, uuid = '-', seconds] = found;
  return {
    progress: progress as ProgressMarker['progress'],
    uuid: uuid === '-' ? '' : uuid,
    seconds: Number(seconds),
  };
}
