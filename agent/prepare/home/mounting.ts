import { setTimeout as sleep } from 'node:timers/promises';
import { SystemError } from '../../lib/errors.ts';
import { type Mount, type MountTable, isBelow } from '../../facts/mounts/mountinfo.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { Context } from '../engine/context.ts';
import { readMounts } from '../engine/snapshot.ts';
import { attempt } from './namespaces.ts';

export const mountProgram = '/usr/bin/mount';
export const umountProgram = '/usr/bin/umount';

/** The mount options of /home (docs/prepare-home.md), which permit no programs, devices or set-user-ID files. */
export const homeOptions = ['rw', 'noexec', 'nodev', 'nosuid'];

/** Contains the mount points of a migration. Only root can enter this folder. It is in /run, so a reboot removes it. */
export const workFolder = '/run/immutafs/prepare';

/** The mount point of the new file system while /home is copied to it. */
export const staging = `${workFolder}/home`;

/** The mount point of the read-only view of the old /home, before the view is mounted over /home. */
const readOnlyView = `${workFolder}/frozen`;

/** The mount point of the root file system without the mounts on it, so that the old /home is visible. */
const systemRoot = `${workFolder}/system`;

/** Returns the mount on /home; undefined if there is none, or only the read-only view of a migration. */
export function homeMount(mounts: MountTable): Mount | undefined {
  const home = mounts.serving('/home');
  return home?.target === '/home' && !isReadOnlyView(mounts, home) ? home : undefined;
}

/** Whether the mount on /home is a read-only view of a migration: a bind mount of the root file system's own /home. */
function isReadOnlyView(mounts: MountTable, home: Mount): boolean {
  const [root] = mounts.at('/').filter(({ device }) => device === home.device);
  return (
    home.target === '/home' && root !== undefined && home.root === `${root.root}/home`.replace('//', '/')
  );
}

/** Creates the mount points of a migration, in a private mount that does not propagate to other mount namespaces. */
export async function openWorkFolder(context: Context): Promise<void> {
  await clearWorkFolder(context);
  context.writer.makeDirectory(workFolder, 0o700);
  await context.run(mountProgram, ['--bind', workFolder, workFolder]);
  try {
    await context.run(mountProgram, ['--make-private', workFolder]);
    for (const folder of [staging, readOnlyView, systemRoot]) context.writer.makeDirectory(folder, 0o700);
  } catch (error) {
    await clearWorkFolder(context);
    throw error;
  }
}

/** Ends the copies and removes the mounts of this run, or of a run that was killed. */
export async function clearWorkFolder(context: Context): Promise<void> {
  await endCopies(context);
  for (const folder of [staging, readOnlyView, systemRoot, workFolder]) await unmountAll(context, folder);
  await removeReadOnlyView(context);
}

async function unmountAll({ reader, runAlways }: Context, folder: string): Promise<void> {
  for (const { target } of readMounts(reader).at(folder)) await runAlways(umountProgram, [target]);
}

/** Ends the rsync processes of a copy, which continue if the agent is killed. */
async function endCopies({ reader, writer }: Context): Promise<void> {
  for (const pid of copies(reader)) await writer.run('/usr/bin/kill', [pid], 60);
  for (let tries = 0; tries < 100 && copies(reader).length > 0; tries++) await sleep(100);
}

/**
 * Returns the PIDs of the rsync processes of a copy. Their working directory is the directory that they read or write.
 */
function copies(reader: SystemReader): string[] {
  const pids = reader.processes.list().map(String);
  return pids.filter((pid) => {
    const cwd = attempt(() => reader.link(`/proc/${pid}/cwd`)) ?? '/';
    if (![staging, systemRoot].some((folder) => isBelow(cwd, folder))) return false;
    return attempt(() => reader.read(`/proc/${pid}/comm`).trim()) === 'rsync';
  });
}

/** Mounts the new file system for copying. */
export async function stage(
  context: Context,
  { device, type }: { device: string; type: string },
): Promise<void> {
  await context.run(mountProgram, ['-t', type, '-o', homeOptions.join(','), device, staging]);
}

/** Unmounts the new file system from the folder in which /home was copied to it. */
export const unstage = (context: Context): Promise<void> => unmountAll(context, staging);

/** Unmounts the new file system and mounts it again, which drops its pages from the page cache. */
export async function stageAgain(context: Context, volume: { device: string; type: string }): Promise<void> {
  await context.run(umountProgram, [staging]);
  await stage(context, volume);
}

/**
 * Makes /home read-only until the returned function is called. If /home is a separate file system, it is remounted
 * read-only. If /home is a folder, a read-only bind mount of it is mounted over it; files that are open for writing
 * then stay open.
 * @throws SystemError if the file system has writers
 */
export async function makeHomeReadOnly(context: Context): Promise<() => Promise<void>> {
  const { reader, run, runAlways } = context;
  const home = readMounts(reader).serving('/home');
  if (home?.target === '/home') {
    await run(mountProgram, ['-o', 'remount,ro', '/home']);
    const release = async () => {
      await runAlways(mountProgram, ['-o', 'remount,rw', '/home']);
    };
    // The superblock must be read-only, so that other mounts of the file system are read-only, too.
    if (readMounts(reader).serving('/home')?.superOptions.includes('ro') === true) return release;
    await release();
    throw new SystemError('the file system of /home did not become read-only when it was remounted');
  }
  await run(mountProgram, ['--bind', '/home', readOnlyView]);
  try {
    // Otherwise the view is a peer of /, and the mount over /home propagates to it.
    await run(mountProgram, ['--make-private', readOnlyView]);
    // Made read-only before it is mounted over /home, because a propagated copy keeps the state of the mount at that
    // time.
    await run(mountProgram, ['-o', 'remount,bind,ro', readOnlyView]);
    await run(mountProgram, ['--bind', readOnlyView, '/home']);
  } finally {
    await runAlways(umountProgram, [readOnlyView]);
  }
  const view = readMounts(reader).serving('/home');
  const release = () => removeReadOnlyView(context);
  if (view?.target === '/home' && view.options.includes('ro')) return release;
  if (view?.target === '/home') await release();
  throw new SystemError('/home is still writable after a read-only bind mount was placed over it');
}

async function removeReadOnlyView({ reader, runAlways }: Context): Promise<void> {
  const mounts = readMounts(reader);
  const home = mounts.serving('/home');
  if (home !== undefined && isReadOnlyView(mounts, home)) await runAlways(umountProgram, ['--lazy', '/home']);
}

/** Calls `work` with the path of the old /home, which the mount on /home covers. */
export async function withOldHome<T>(context: Context, work: (old: string) => Promise<T>): Promise<T> {
  await context.run(mountProgram, ['--bind', '/', systemRoot]);
  try {
    // Prevents mounts that are made on / meanwhile from propagating to this mount.
    await context.run(mountProgram, ['--make-private', systemRoot]);
    return await work(`${systemRoot}/home`);
  } finally {
    await context.runAlways(umountProgram, [systemRoot]);
  }
}
