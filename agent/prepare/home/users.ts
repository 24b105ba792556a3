import { HostError } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import { type Mount, mountTable } from '../../facts/mounts/mountinfo.ts';
import { findBacking } from './backing.ts';
import { type Holder, describeHolders, findHolders } from './open-handles.ts';
import { readNamespaces } from './namespaces.ts';
import { describeReach, findReaches, judgeReaches } from './reach.ts';
import { type Region, homeRegion } from './region.ts';

/** Everything that would go on with the old /home when another file system is mounted on it. */
export interface Users {
  /** Sentences with what to do: /home cannot be moved while they are there. */
  obstacles: string[];
  /** Sentences: they only read, and see the old /home until they are started again. */
  stale: string[];
  holders: Holder[];
}

const shownObstacles = 10;

/** @param home the mount that serves /home now */
export async function findUsers(reader: SystemReader, region: Region, home: Mount): Promise<Users> {
  const namespaces = readNamespaces(reader, region);
  const { obstacles, stale } = judgeReaches(namespaces, region, home.id);
  const kept = namespaces.kept.map(
    (target) =>
      `A mount namespace without a process is kept at ${target}, and may have /home in it: umount ${target}.`,
  );
  return {
    obstacles: firstFew([
      ...obstacles.map((reach) => describeReach(reader, reach)),
      ...(await findBacking(reader, region, namespaces)),
      ...kept,
    ]),
    stale: [...new Set(stale.map(({ namespace: { who } }) => who))],
    holders: await findHolders(reader, region, namespaces),
  };
}

/** The same of /home as it is now. */
export async function findHomeUsers(reader: SystemReader): Promise<Users> {
  const mounts = mountTable(reader.read('/proc/self/mountinfo', 64 * 1024 * 1024));
  const home = mounts.serving('/home');
  if (home === undefined) throw new HostError('no mount serves /home');
  return findUsers(reader, await homeRegion(reader, mounts), home);
}

/**
 * @param region the old /home, of which there is nothing but a read-only view, or which another file system covers
 * @throws HostError EBUSY naming what can write to it all the same, or has something in it open
 */
export async function expectUnreachable(reader: SystemReader, region: Region, advice: string): Promise<void> {
  const namespaces = readNamespaces(reader, region);
  const reaches = findReaches(namespaces, region).filter(({ mount }) => mount.writable);
  const problems = firstFew([
    ...reaches.map((reach) => describeReach(reader, reach)),
    ...(await findBacking(reader, region, namespaces)),
  ]);
  expectNone(problems, await findHolders(reader, region, namespaces), advice);
}

/** @throws HostError EBUSY naming them */
export function expectNone(obstacles: readonly string[], holders: readonly Holder[], advice: string): void {
  const inUse = holders.length === 0 ? [] : [`In use: ${describeHolders(holders)}.`];
  if (obstacles.length + inUse.length === 0) return;
  throw new HostError([...obstacles, ...inUse, advice].join(' '), 'EBUSY');
}

function firstFew(sentences: string[]): string[] {
  const more = sentences.length - shownObstacles;
  return more > 0 ? [...sentences.slice(0, shownObstacles), `And ${more} more of the kind.`] : sentences;
}
