import { setTimeout as sleep } from 'node:timers/promises';
import { HostError } from '../../lib/errors.ts';
import { nodeOfMount } from '../../facts/disks/block.ts';
import { type Mount, type MountTable, isBelow, mountTable } from '../../facts/mounts/mountinfo.ts';
import type { SystemReader } from '../../system/reader.ts';
import { attempt } from './namespaces.ts';
import { frozen, staging, system, workFolder } from './places.ts';
import type { Move } from './abortable.ts';

const mount = '/usr/bin/mount';
const umount = '/usr/bin/umount';

/** As in the seed: nothing on /home can be run, be a device or give another user's rights. */
export const homeOptions = ['rw', 'noexec', 'nodev', 'nosuid'];

export function readMounts(reader: SystemReader): MountTable {
  return mountTable(reader.read('/proc/self/mountinfo', 64 * 1024 * 1024));
}

/** Whether what is mounted on /home is the folder below it, which we held still and were interrupted. */
export function isHeldStill(mounts: MountTable, home: Mount): boolean {
  const [root] = mounts.at('/').filter(({ device }) => device === home.device);
  return (
    home.target === '/home' && root !== undefined && home.root === `${root.root}/home`.replace('//', '/')
  );
}

/**
 * Calls `work` with folders to mount on that other mount namespaces do not see. What a run that was killed left there,
 * or on /home, is taken away before.
 */
export async function withPlaces<T>(move: Move, work: () => Promise<T>): Promise<T> {
  await clearAway(move);
  move.writer.makeFolder(workFolder, 0o700);
  await move.must(mount, '--bind', workFolder, workFolder);
  try {
    await move.must(mount, '--make-private', workFolder);
    for (const folder of [staging, frozen, system]) move.writer.makeFolder(folder, 0o700);
    return await work();
  } finally {
    await clearAway(move);
  }
}

async function clearAway(move: Move): Promise<void> {
  await endCopies(move);
  for (const folder of [staging, frozen, system, workFolder]) {
    for (const { target } of readMounts(move.reader).at(folder)) await move.always(umount, target);
  }
  await letGo(move);
}

/** Copies outlive an agent that was killed. */
async function endCopies({ reader, writer }: Move): Promise<void> {
  for (const pid of copies(reader)) await writer.run('/usr/bin/kill', [pid], 60);
  for (let tries = 0; tries < 100 && copies(reader).length > 0; tries++) await sleep(100);
}

/** Each process of rsync works in the directory that it reads or writes. */
function copies(reader: SystemReader): string[] {
  const pids = reader.list('/proc').filter((name) => /^\d+$/.test(name));
  return pids.filter((pid) => {
    const cwd = attempt(() => reader.link(`/proc/${pid}/cwd`)) ?? '/';
    if (![staging, system].some((folder) => isBelow(cwd, folder))) return false;
    return attempt(() => reader.read(`/proc/${pid}/comm`).trim()) === 'rsync';
  });
}

/** Mounts the new file system where nobody else looks. */
export async function stage(move: Move, { device, type }: { device: string; type: string }): Promise<void> {
  await move.must(mount, '-t', type, '-o', homeOptions.join(','), device, staging);
}

/** The same without what the kernel remembers of it. */
export async function stageAgain(move: Move, volume: { device: string; type: string }): Promise<void> {
  await move.must(umount, staging);
  await stage(move, volume);
}

/**
 * Nobody can open anything in /home for writing from here on, until the returned function is called: by a read-only
 * view of the folder that is bound over it, or by the file system's own word. What is open already stays open.
 * @throws HostError where the file system has writers
 */
export async function holdStill(move: Move): Promise<() => Promise<void>> {
  const home = readMounts(move.reader).serving('/home');
  if (home?.target === '/home') {
    await move.must(mount, '-o', 'remount,ro', '/home');
    const release = async () => {
      await move.always(mount, '-o', 'remount,rw', '/home');
    };
    // The file system as a whole, for every other mount of it, too.
    if (readMounts(move.reader).serving('/home')?.superOptions.includes('ro') === true) return release;
    await release();
    throw new HostError('the file system of /home did not become read-only when it was remounted');
  }
  await move.must(mount, '--bind', '/home', frozen);
  try {
    // A peer of / would get what is mounted on /home, too.
    await move.must(mount, '--make-private', frozen);
    // In a place of its own first: mounts inherit being read-only when they are made, not later.
    await move.must(mount, '-o', 'remount,bind,ro', frozen);
    await move.must(mount, '--bind', frozen, '/home');
  } finally {
    await move.always(umount, frozen);
  }
  const view = readMounts(move.reader).serving('/home');
  const release = () => letGo(move);
  if (view?.target === '/home' && view.options.includes('ro')) return release;
  if (view?.target === '/home') await release();
  throw new HostError('/home did not become read-only when a read-only view of it was mounted over it');
}

async function letGo(move: Move): Promise<void> {
  const mounts = readMounts(move.reader);
  const home = mounts.serving('/home');
  if (home !== undefined && isHeldStill(mounts, home)) await move.always(umount, '--lazy', '/home');
}

/**
 * Mounts the new file system over the old /home, by its line in fstab, and looks. Over what was held still: taken away
 * before, it would leave a moment in which the old one is written to. It stays below until the next boot.
 */
export async function takePlace(move: Move, uuid: string): Promise<void> {
  // Else systemd might take the mount for one that has no reason to be there.
  if (move.reader.stat('/run/systemd/system')) await move.always('/usr/bin/systemctl', 'daemon-reload');
  const below = readMounts(move.reader).serving('/home');
  await move.always(mount, '/home');
  const problem = await lookAtHome(move, uuid);
  if (problem === undefined) return;
  if (readMounts(move.reader).serving('/home')?.id !== below?.id) await move.always(umount, '/home');
  throw new HostError(problem);
}

/** @returns what is not as it should be */
async function lookAtHome({ reader, always }: Move, uuid: string): Promise<string | undefined> {
  const home = readMounts(reader).serving('/home');
  if (home?.target !== '/home') return '/home is no mount though it was mounted';
  const missing = homeOptions.filter((option) => !home.options.includes(option));
  if (missing.length > 0) return `/home was mounted without ${missing.join(', ')}`;
  const node = nodeOfMount(reader, home);
  const found =
    node === undefined
      ? ''
      : await always('/usr/sbin/blkid', '-p', '-s', 'UUID', '-o', 'value', deviceOf(node));
  return found.trim() === uuid ? undefined : `/home is another file system (${home.source}) than the new one`;
}

function deviceOf(node: string): string {
  return `/dev/${node.slice(node.lastIndexOf('/') + 1)}`;
}

/** Calls `work` with the folder that is below the mount on /home, within `withPlaces`. */
export async function withOldHome<T>(move: Move, work: (old: string) => Promise<T>): Promise<T> {
  await move.must(mount, '--bind', '/', system);
  try {
    // Not what is mounted on / meanwhile.
    await move.must(mount, '--make-private', system);
    return await work(`${system}/home`);
  } finally {
    await move.always(umount, system);
  }
}
