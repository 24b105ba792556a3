import { setTimeout as sleep } from 'node:timers/promises';
import { SystemError, unlessSystemError } from '../../lib/errors.ts';
import { type Mount, type MountTable, isBelow, readMountTable } from '../../facts/mounts/mountinfo.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { Context } from '../engine/context.ts';
import { joinPath, mountAbove } from './region.ts';

export const mountProgram = '/usr/bin/mount';
export const umountProgram = '/usr/bin/umount';

/** Contains the mount points of a move. Only root can enter this folder. It is in /run, so a reboot removes it. */
export const workFolder = '/run/immutafs/prepare';

/** The mount point of the directory to which the content is copied. */
export const staging = `${workFolder}/new`;

/** The mount point of the read-only view of the old directory, before the view is mounted over it. */
const readOnlyView = `${workFolder}/frozen`;

/** The mount point of a file system without the mounts on it, so that a directory below a mount is visible. */
const uncovered = `${workFolder}/uncovered`;

/** Whether a mount is a read-only view of a move: a bind mount of a directory on itself. */
export function isReadOnlyView(mounts: MountTable, mount: Mount): boolean {
  if (mount.target === '/') return false;
  const above = mountAbove(mounts, mount.target);
  const [same] = mounts.at(above.target).filter(({ device }) => device === mount.device);
  return same !== undefined && mount.root === joinPath(same.root, mount.target.slice(same.target.length));
}

/** Creates the mount points of a move, in a private mount that does not propagate to other mount namespaces. */
export async function openWorkFolder(context: Context): Promise<void> {
  await clearWorkFolder(context);
  context.writer.makeDirectory(workFolder, 0o700);
  await context.run(mountProgram, ['--bind', workFolder, workFolder]);
  try {
    await context.run(mountProgram, ['--make-private', workFolder]);
    for (const folder of [staging, readOnlyView, uncovered]) context.writer.makeDirectory(folder, 0o700);
  } catch (error) {
    await clearWorkFolder(context);
    throw error;
  }
}

/**
 * Ends the rsync processes of a copy, which continue if the agent is killed, and removes the mounts in the work folder, of
 * this run or of a run that was killed.
 */
export async function clearWorkFolder(context: Context): Promise<void> {
  const { reader, writer } = context;
  for (const pid of copies(reader)) await writer.run('/usr/bin/kill', [pid], 60);
  for (let tries = 0; tries < 100 && copies(reader).length > 0; tries++) await sleep(100);
  for (const folder of [staging, readOnlyView, uncovered, workFolder]) await unmountAll(context, folder);
}

/** Unmounts what was mounted for copying. */
export const unstage = (context: Context): Promise<void> => unmountAll(context, staging);

async function unmountAll({ reader, runAlways }: Context, folder: string): Promise<void> {
  for (const { target } of readMountTable(reader).at(folder)) await runAlways(umountProgram, [target]);
}

/**
 * Returns the PIDs of the rsync processes of a copy. Their working directory is the directory that they read or write.
 */
function copies(reader: SystemReader): string[] {
  const pids = reader.processes.list().map(String);
  return pids.filter((pid) => {
    const cwd = unlessSystemError(() => reader.link(`/proc/${pid}/cwd`)) ?? '/';
    if (![staging, uncovered].some((folder) => isBelow(cwd, folder))) return false;
    return unlessSystemError(() => reader.read(`/proc/${pid}/comm`).trim()) === 'rsync';
  });
}

/**
 * Makes a directory read-only until the returned function is called. If it is a separate file system, this is remounted
 * read-only. Otherwise, a read-only bind mount of the directory is mounted over it; files that are open for writing then
 * stay open.
 * @throws SystemError if the file system has writers
 */
export async function makeReadOnly(context: Context, path: string): Promise<() => Promise<void>> {
  const { reader, run, runAlways } = context;
  const mount = readMountTable(reader).serving(path);
  if (mount?.target === path) {
    await run(mountProgram, ['-o', 'remount,ro', path]);
    const release = async () => {
      await runAlways(mountProgram, ['-o', 'remount,rw', path]);
    };
    // The superblock must be read-only, so that other mounts of the file system are read-only, too.
    if (readMountTable(reader).serving(path)?.superOptions.includes('ro') === true) return release;
    await release();
    throw new SystemError(`the file system of ${path} did not become read-only when it was remounted`);
  }
  await run(mountProgram, ['--bind', path, readOnlyView]);
  try {
    // Otherwise the view is a peer of the mount above, and the mount over the directory propagates to it.
    await run(mountProgram, ['--make-private', readOnlyView]);
    // Made read-only before it is mounted over the directory, because a propagated copy keeps the state of the mount at
    // that time.
    await run(mountProgram, ['-o', 'remount,bind,ro', readOnlyView]);
    await run(mountProgram, ['--bind', readOnlyView, path]);
  } finally {
    await runAlways(umountProgram, [readOnlyView]);
  }
  const view = readMountTable(reader).serving(path);
  const release = () => removeReadOnlyView(context, path);
  if (view?.target === path && view.options.includes('ro')) return release;
  if (view?.target === path) await release();
  throw new SystemError(`${path} is still writable after a read-only bind mount was placed over it`);
}

export async function removeReadOnlyView({ reader, runAlways }: Context, path: string): Promise<void> {
  const mounts = readMountTable(reader);
  const mount = mounts.serving(path);
  if (mount?.target === path && isReadOnlyView(mounts, mount))
    await runAlways(umountProgram, ['--lazy', path]);
}

/** Calls `work` with a path of the directory that the mounts on a path cover. */
export async function withCovered<T>(
  context: Context,
  path: string,
  work: (covered: string) => Promise<T>,
): Promise<T> {
  const { target } = mountAbove(readMountTable(context.reader), path);
  await context.run(mountProgram, ['--bind', target, uncovered]);
  try {
    // Prevents mounts that are made on the file system meanwhile from propagating to this mount.
    await context.run(mountProgram, ['--make-private', uncovered]);
    return await work(joinPath(uncovered, path.slice(target.length)));
  } finally {
    await context.runAlways(umountProgram, [uncovered]);
  }
}
