import path from 'node:path';
import type { SystemReader } from '../../system/reader.ts';
import { nodeOfMount } from '../../facts/disks/block.ts';
import type { Mount, MountTable } from '../../facts/mounts/mountinfo.ts';
import { readDiskMark, readFileMark } from './progress-marker.ts';
import { isHeldStill } from './mounting.ts';
import { probe } from './signatures.ts';

/** The mount that is /home's own; undefined where /home is a folder of another file system. */
export function ownMount(mounts: MountTable): Mount | undefined {
  const home = mounts.serving('/home');
  return home?.target === '/home' && !isHeldStill(mounts, home) ? home : undefined;
}

/** A mark that an interrupted run left on what serves as /home already. */
export interface Left {
  /** Where it is: the whole disk, or the file system itself. */
  on: 'disk' | 'file system';
  device: string;
  uuid: string;
}

export async function findLeft(reader: SystemReader, home: Mount): Promise<Left | undefined> {
  const node = nodeOfMount(reader, home);
  if (node === undefined) return undefined;
  const device = `/dev/${path.basename(node)}`;
  const { UUID: uuid = '' } = await probe(reader, device);
  if (readFileMark(reader, '/home') !== undefined) return { on: 'file system', device, uuid };
  if (reader.stat(`${node}/partition`) === undefined) return undefined;
  const disk = `/dev/${path.basename(path.dirname(node))}`;
  return readDiskMark(reader, disk)?.uuid === uuid ? { on: 'disk', device: disk, uuid } : undefined;
}
