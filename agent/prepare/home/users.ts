import { HostError } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { Mount } from '../../facts/mounts/mountinfo.ts';
import { readMounts } from '../engine/snapshot.ts';
import { findBacking } from './backing.ts';
import { type HandleOwner, describeHandleOwners, findHandleOwners } from './open-handles.ts';
import { readNamespaces } from './namespaces.ts';
import { describeReach, findReaches, judgeReaches } from './reach.ts';
import { type Region, homeRegion } from './region.ts';

/** What would continue to use the old /home after another file system is mounted on it. */
export interface Users {
  /** They block the migration: a sentence each, with what to do. */
  obstacles: string[];
  /** Processes that only read, and see the old /home until they are restarted. */
  stale: string[];
  owners: HandleOwner[];
}

const shownObstacles = 10;

/** @param home the mount that serves /home now */
export async function findUsers(reader: SystemReader, region: Region, home: Mount): Promise<Users> {
  const namespaces = readNamespaces(reader, region);
  const { obstacles, stale } = judgeReaches(namespaces, region, home.id);
  const kept = namespaces.kept.map(
    (target) =>
      `A mount namespace without a process is kept at ${target} and may contain /home: umount ${target}.`,
  );
  return {
    obstacles: firstFew([
      ...obstacles.map((reach) => describeReach(reader, reach)),
      ...(await findBacking(reader, region, namespaces)),
      ...kept,
    ]),
    stale: [...new Set(stale.map(({ namespace: { who } }) => who))],
    owners: await findHandleOwners(reader, region, namespaces),
  };
}

/** The users of /home as it is mounted now. */
export async function findHomeUsers(reader: SystemReader): Promise<Users> {
  const mounts = readMounts(reader);
  const home = mounts.serving('/home');
  if (home === undefined) throw new HostError('no mount serves /home');
  return findUsers(reader, await homeRegion(reader, mounts), home);
}

/**
 * @param region the old /home, which is read-only, or covered by another file system
 * @throws HostError EBUSY naming what can still write to it, or has files in it open
 */
export async function expectUnreachable(reader: SystemReader, region: Region, advice: string): Promise<void> {
  const namespaces = readNamespaces(reader, region);
  const reaches = findReaches(namespaces, region).filter(({ mount }) => mount.writable);
  const problems = firstFew([
    ...reaches.map((reach) => describeReach(reader, reach)),
    ...(await findBacking(reader, region, namespaces)),
  ]);
  expectNone(problems, await findHandleOwners(reader, region, namespaces), advice);
}

/** @throws HostError EBUSY naming them */
export function expectNone(
  obstacles: readonly string[],
  owners: readonly HandleOwner[],
  advice: string,
): void {
  const inUse = owners.length === 0 ? [] : [`In use: ${describeHandleOwners(owners)}.`];
  if (obstacles.length + inUse.length === 0) return;
  throw new HostError([...obstacles, ...inUse, advice].join(' '), 'EBUSY');
}

function firstFew(sentences: string[]): string[] {
  const more = sentences.length - shownObstacles;
  return more > 0 ? [...sentences.slice(0, shownObstacles), `And ${more} more.`] : sentences;
}
