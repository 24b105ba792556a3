import path from 'node:path';
import { SystemError } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import { nodeOfMount } from '../../facts/disks/block.ts';
import type { Mount } from '../../facts/mounts/mountinfo.ts';
import type { Context } from '../engine/context.ts';
import { markerFile } from '../move/rsync.ts';
import { probe } from './signatures.ts';

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

/** The place where a marker is stored. */
export interface MarkerStore {
  read: () => ProgressMarker | undefined;
  /** Writes the marker. When this returns, the marker and all earlier writes are on the disk. */
  write: (progress: ProgressMarker['progress']) => Promise<void>;
  clear: () => Promise<void>;
}

/**
 * The offset of the marker, in bytes, on a disk that contains only /home: after the partition table and before the
 * first partition, where no program writes. The marker takes one sector, because the write of a sector is atomic.
 */
const markerOffset = 512 * 1024;
const markerBytes = 512;

const sync = '/usr/bin/sync';

/** Returns the store of a marker on a disk. @param device the whole disk's file in /dev */
export function diskMarker(context: Context, device: string, uuid: string): MarkerStore {
  const { reader, writer, runAlways } = context;
  return {
    read: () => readDiskMarker(reader, device),
    write: async (progress) => {
      await runAlways(sync, []);
      writeDiskMarker(context, device, progress, uuid);
    },
    clear: async () => {
      await runAlways(sync, []);
      writer.writeAt(device, markerOffset, emptyMarker);
    },
  };
}

/**
 * Returns the store of a marker in a file system. The marker file is overwritten in place, and the times of the root
 * directory are restored when it is removed, because they are part of the copy.
 * @param root the mount point of the file system
 * @throws SystemError from `write` if the file system has no marker and is not empty
 */
export function fileMarker({ reader, writer, runAlways }: Context, uuid: string, root: string): MarkerStore {
  const file = `${root}/${markerFile}`;
  return {
    read: () => readFileMarker(reader, root),
    write: async (progress) => {
      const text = formatMarker({ progress, uuid, seconds: now(reader) });
      await runAlways(sync, []);
      if (reader.stat(file) !== undefined) {
        writer.writeAt(file, 0, text);
        return;
      }
      const others = reader.list(root).filter((name) => name !== 'lost+found');
      if (others.length > 0) {
        throw new SystemError(`the file system ${uuid} is not empty: ${others.slice(0, 5).join(', ')}`);
      }
      writer.replaceText(file, text, 0o600);
    },
    clear: async () => {
      await runAlways(sync, []);
      if (reader.stat(file) === undefined) return;
      const times = '/run/immutafs/prepare.times';
      await runAlways('/usr/bin/touch', ['--reference', root, times]);
      writer.remove(file);
      await runAlways('/usr/bin/touch', ['--reference', times, root]);
      writer.remove(times);
    },
  };
}

/** A marker on the disk or file system that is already in use as /home, left by a run interrupted after the cutover. */
interface StaleMarker {
  /** Whether the marker is on the whole disk or in the file system. */
  on: 'disk' | 'file system';
  device: string;
  uuid: string;
}

export async function findStaleMarker(reader: SystemReader, home: Mount): Promise<StaleMarker | undefined> {
  const node = nodeOfMount(reader, home);
  if (node === undefined) return undefined;
  const device = `/dev/${path.basename(node)}`;
  const { UUID: uuid = '' } = await probe(reader, device);
  if (readFileMarker(reader, '/home') !== undefined) return { on: 'file system', device, uuid };
  if (reader.stat(`${node}/partition`) === undefined) return undefined;
  const disk = `/dev/${path.basename(path.dirname(node))}`;
  return readDiskMarker(reader, disk)?.uuid === uuid ? { on: 'disk', device: disk, uuid } : undefined;
}

/** Reads the marker on a disk. @param device the whole disk's file in /dev */
export function readDiskMarker(reader: SystemReader, device: string): ProgressMarker | undefined {
  return parseMarker(reader.readAt(device, markerOffset, markerBytes));
}

/** Writes a marker to a disk. @param device the whole disk's file in /dev */
export function writeDiskMarker(
  { reader, writer }: Context,
  device: string,
  progress: ProgressMarker['progress'],
  uuid: string,
): void {
  writer.writeAt(device, markerOffset, formatMarker({ progress, uuid, seconds: now(reader) }));
}

function readFileMarker(reader: SystemReader, root: string): ProgressMarker | undefined {
  const file = `${root}/${markerFile}`;
  return reader.stat(file) === undefined ? undefined : parseMarker(reader.read(file, markerBytes));
}

/** Formats a marker. Every marker has the same length, so that it completely overwrites an earlier marker. */
export function formatMarker({ progress, uuid, seconds }: ProgressMarker): string {
  return `immutafs home ${progress} ${uuid === '' ? '-' : uuid} ${seconds}\n`.padEnd(markerBytes, '\0');
}

export const emptyMarker = '\0'.repeat(markerBytes);

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

function now(reader: SystemReader): number {
  return Math.floor(reader.now().getTime() / 1000);
}
