import path from 'node:path';
import { HostError } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import { nodeOfMount } from '../../facts/disks/block.ts';
import type { Mount } from '../../facts/mounts/mountinfo.ts';
import type { Context } from '../engine/context.ts';
import { probe } from './signatures.ts';

/**
 * How far a migration has come, written to the disk itself: a run after a power cut continues there, and takes no other
 * disk. `making`: the disk is being partitioned and formatted. `copying`: /home is being copied to its file system.
 * `copied`: every byte was compared; /etc/fstab is next. A disk that serves as /home has no marker.
 */
export interface ProgressMarker {
  progress: 'making' | 'copying' | 'copied';
  /** Of the file system; empty before it exists. */
  uuid: string;
  /** Since the epoch, when it was written. */
  seconds: number;
}

/** Where a marker is kept. */
export interface MarkerStore {
  read: () => ProgressMarker | undefined;
  /** On the disk when it returns, with everything that was written before. */
  write: (progress: ProgressMarker['progress']) => Promise<void>;
  clear: () => Promise<void>;
}

/**
 * On a disk that /home has for itself: after the partition table and before the first partition, where no program writes.
 * One sector is written completely or not at all.
 */
export const markerOffset = 512 * 1024;
const markerBytes = 512;

/** In a file system that existed before: a file in its root, because its disk belongs to others. */
export const markerFile = '.immutafs-home';

const sync = '/usr/bin/sync';

/** @param device the whole disk's file in /dev */
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
 * The marker is overwritten in place, so that the times of the folder stay.
 * @param root where the file system is mounted
 * @throws HostError from `write` if the file system has no marker and is not empty
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
        throw new HostError(`the file system ${uuid} is not empty: ${others.slice(0, 5).join(', ')}`);
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

/** A marker on what already serves as /home: a run was interrupted after the cutover. */
export interface StaleMarker {
  /** Where it is: the whole disk, or the file system itself. */
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

/** @param device the whole disk's file in /dev */
export function readDiskMarker(reader: SystemReader, device: string): ProgressMarker | undefined {
  return parseMarker(reader.readAt(device, markerOffset, markerBytes));
}

/** @param device the whole disk's file in /dev */
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

/** Always of the same length, so that it can overwrite another one. */
export function formatMarker({ progress, uuid, seconds }: ProgressMarker): string {
  return `immutafs home ${progress} ${uuid === '' ? '-' : uuid} ${seconds}\n`.padEnd(markerBytes, '\0');
}

export const emptyMarker = '\0'.repeat(markerBytes);

/** @returns undefined for everything that `formatMarker` does not write */
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
