import path from 'node:path';
import type { Host } from '../../host.ts';
import { nodeOfMount } from '../../observe/block.ts';
import type { Mount, MountTable } from '../../observe/mountinfo.ts';
import { readDiskMark, readFileMark } from './mark.ts';
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

export async function findLeft(host: Host, home: Mount): Promise<Left | undefined> {
  const node = nodeOfMount(host, home);
  if (node === undefined) return undefined;
  const device = `/dev/${path.basename(node)}`;
  const { UUID: uuid = '' } = await probe(host, device);
  if (readFileMark(host, '/home') !== undefined) return { on: 'file system', device, uuid };
  if (host.stat(`${node}/partition`) === undefined) return undefined;
  const disk = `/dev/${path.basename(path.dirname(node))}`;
  return readDiskMark(host, disk)?.uuid === uuid ? { on: 'disk', device: disk, uuid } : undefined;
}
