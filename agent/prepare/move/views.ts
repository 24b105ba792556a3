import { setTimeout as sleep } from 'node:timers/promises';
import { SystemError } from '../../lib/errors.ts';
import { nodeOfMount, nodeOfSource } from '../../facts/disks/sources.ts';
import { readMountTable } from '../../facts/mounts/mountinfo.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { Context } from '../engine/context.ts';
import { deviceOf, probe } from './devices.ts';

/** Contains the mounts of a move. Only root can enter this folder. It is in /run, so a reboot removes it. */
const workFolder = '/run/immutafs/move';
const options = 'nosuid,nodev,noexec';
const umount = '/usr/bin/umount';

/** Opens directories without following symbolic links (boot/move/mounts.ts). */
const bootProgram = '/usr/libexec/immutafs/immutafs-boot';

/**
 * Makes a directory, unless it exists, that only root can enter.
 * @param like a directory whose owner, mode, SELinux label and access control lists it has instead
 */
export async function makeDirectory({ run }: Context, path: string, like?: string): Promise<void> {
  await run(bootProgram, ['make-directory', path, ...(like === undefined ? [] : [like])]);
}

/**
 * Mounts a directory in the work folder, without the mounts below it. No user can change the path of the mount, and it stays
 * that of the same directory whatever happens to the path of the directory.
 * @returns the path of the mount
 */
export async function view(
  context: Context,
  access: 'ro' | 'rw',
  directory: string,
  name: 'old' | 'new',
): Promise<string> {
  const path = `${workFolder}/${name}`;
  await context.run(bootProgram, ['view', `${access},${options}`, directory, path]);
  return path;
}

/**
 * Mounts a file system in the work folder. mount(8) would run in the domain mount_t of SELinux, which may not mount on
 * directories that this program makes.
 * @returns the path of the mount
 */
export async function mountVolume(
  context: Context,
  { uuid, device: named }: { uuid: string; device?: string },
  name: 'old' | 'new',
): Promise<string> {
  const path = `${workFolder}/${name}`;
  const node = nodeOfSource(context.reader, named ?? `UUID=${uuid}`);
  if (node === undefined) throw new SystemError(`the file system ${uuid} is not attached`);
  const device = deviceOf(node);
  const { TYPE: type = '' } = await probe(context.reader, device);
  for (let tries = 1; ; tries++) {
    try {
      await context.run(bootProgram, ['volume', `rw,${options}`, type, device, path]);
      return path;
    } catch (error) {
      // While udev rereads the partition table of a disk, the kernel lets nobody else claim its partitions (EBUSY).
      if (tries === 20) throw error;
      await sleep(250);
    }
  }
}

/** Removes the mounts of a move, also those of a process that was killed. */
export async function clearViews(
  { reader, run }: Context,
  names: readonly ('old' | 'new')[] = ['old', 'new'],
): Promise<void> {
  for (const name of names)
    for (const { target } of readMountTable(reader).at(`${workFolder}/${name}`)) await run(umount, [target]);
}

/** Removes the mounts on a directory. Nothing uses them in a boot that moves. */
export async function uncover({ reader, run }: Context, path: string): Promise<void> {
  for (const { target } of readMountTable(reader).at(path)) await run(umount, [target]);
}

/** Returns the UUID of the file system that contains a directory; its source, if it has no UUID. */
export async function fileSystemOf(reader: SystemReader, directory: string): Promise<string> {
  const mount = readMountTable(reader).serving(directory);
  const node = mount && nodeOfMount(reader, mount);
  const { UUID: uuid = '' } = node === undefined ? {} : await probe(reader, deviceOf(node));
  return uuid === '' ? (mount?.source ?? '') : uuid;
}
