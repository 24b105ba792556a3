import { setTimeout as sleep } from 'node:timers/promises';
import { HostError } from '../../lib/errors.ts';
import { type Mount, type MountTable, isBelow } from '../../facts/mounts/mountinfo.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { Context } from '../engine/context.ts';
import { readMounts } from '../engine/snapshot.ts';
import { attempt } from './namespaces.ts';

export const mountProgram = '/usr/bin/mount';
export const umountProgram = '/usr/bin/umount';

/** As in the recipe (docs/prepare-home.md): no programs, devices or set-user-ID files on /home. */
export const homeOptions = ['rw', 'noexec', 'nodev', 'nosuid'];

/** The folders for mounts: only root can enter them, and they are in memory, so that a power cut removes them. */
export const workFolder = '/run/immutafs/prepare';

/** Where the new file system is mounted while /home is copied to it. */
export const staging = `${workFolder}/home`;

/** The read-only view of the old /home, before it is mounted over /home. */
const readOnlyView = `${workFolder}/frozen`;

/** The root's file system without the mounts in it: it contains the old /home. */
const systemRoot = `${workFolder}/system`;

/** The mount on /home; undefined if /home is a folder of another file system, perhaps below our read-only view. */
export function homeMount(mounts: MountTable): Mount | undefined {
  const home = mounts.serving('/home');
  return home?.target === '/home' && !isReadOnlyView(mounts, home) ? home : undefined;
}

/** Whether the mount on /home is the folder /home of the root's file system: an interrupted run left it. */
function isReadOnlyView(mounts: MountTable, home: Mount): boolean {
  const [root] = mounts.at('/').filter(({ device }) => device === home.device);
  return (
    home.target === '/home' && root !== undefined && home.root === `${root.root}/home`.replace('//', '/')
  );
}

/** Makes the folders for mounts, which other mount namespaces do not see. */
export async function openWorkFolder(context: Context): Promise<void> {
  await clearWorkFolder(context);
  context.writer.makeFolder(workFolder, 0o700);
  await context.run(mountProgram, ['--bind', workFolder, workFolder]);
  try {
    await context.run(mountProgram, ['--make-private', workFolder]);
    for (const folder of [staging, readOnlyView, systemRoot]) context.writer.makeFolder(folder, 0o700);
  } catch (error) {
    await clearWorkFolder(context);
    throw error;
  }
}

/** Ends the copies and removes the mounts of this run, or of one that was killed. */
export async function clearWorkFolder(context: Context): Promise<void> {
  await endCopies(context);
  for (const folder of [staging, readOnlyView, systemRoot, workFolder]) {
    for (const { target } of readMounts(context.reader).at(folder)) {
      await context.runAlways(umountProgram, [target]);
    }
  }
  await removeReadOnlyView(context);
}

/** rsync continues when the agent is killed. */
async function endCopies({ reader, writer }: Context): Promise<void> {
  for (const pid of copies(reader)) await writer.run('/usr/bin/kill', [pid], 60);
  for (let tries = 0; tries < 100 && copies(reader).length > 0; tries++) await sleep(100);
}

/** Each process of rsync works in the directory that it reads or writes. */
function copies(reader: SystemReader): string[] {
  const pids = reader.list('/proc').filter((name) => /^\d+$/.test(name));
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

/** Mounts it again, without what the page cache has of it. */
export async function stageAgain(context: Context, volume: { device: string; type: string }): Promise<void> {
  await context.run(umountProgram, [staging]);
  await stage(context, volume);
}

/**
 * Makes /home read-only until the returned function is called. A file system of its own is remounted; over a folder a
 * read-only view of it is mounted. Files that are open for writing stay open.
 * @throws HostError if the file system has writers
 */
export async function makeHomeReadOnly(context: Context): Promise<() => Promise<void>> {
  const { reader, run, runAlways } = context;
  const home = readMounts(reader).serving('/home');
  if (home?.target === '/home') {
    await run(mountProgram, ['-o', 'remount,ro', '/home']);
    const release = async () => {
      await runAlways(mountProgram, ['-o', 'remount,rw', '/home']);
    };
    // The whole file system, so that its other mounts are read-only, too.
    if (readMounts(reader).serving('/home')?.superOptions.includes('ro') === true) return release;
    await release();
    throw new HostError('the file system of /home did not become read-only when it was remounted');
  }
  await run(mountProgram, ['--bind', '/home', readOnlyView]);
  try {
    // A peer of / would receive the mount over /home, too.
    await run(mountProgram, ['--make-private', readOnlyView]);
    // Before it is mounted over /home: copies of a mount are read-only only if the mount was when they were made.
    await run(mountProgram, ['-o', 'remount,bind,ro', readOnlyView]);
    await run(mountProgram, ['--bind', readOnlyView, '/home']);
  } finally {
    await runAlways(umountProgram, [readOnlyView]);
  }
  const view = readMounts(reader).serving('/home');
  const release = () => removeReadOnlyView(context);
  if (view?.target === '/home' && view.options.includes('ro')) return release;
  if (view?.target === '/home') await release();
  throw new HostError('/home did not become read-only when a read-only view of it was mounted over it');
}

async function removeReadOnlyView({ reader, runAlways }: Context): Promise<void> {
  const mounts = readMounts(reader);
  const home = mounts.serving('/home');
  if (home !== undefined && isReadOnlyView(mounts, home)) await runAlways(umountProgram, ['--lazy', '/home']);
}

/** Calls `work` with the folder that the mount on /home covers. */
export async function withOldHome<T>(context: Context, work: (old: string) => Promise<T>): Promise<T> {
  await context.run(mountProgram, ['--bind', '/', systemRoot]);
  try {
    // Keeps out what is mounted on / meanwhile.
    await context.run(mountProgram, ['--make-private', systemRoot]);
    return await work(`${systemRoot}/home`);
  } finally {
    await context.runAlways(umountProgram, [systemRoot]);
  }
}
