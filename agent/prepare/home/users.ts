import { SystemError } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { Mount } from '../../facts/mounts/mountinfo.ts';
import { readMounts } from '../engine/snapshot.ts';
import { findBacking } from './backing.ts';
import { type HandleOwner, describeHandleOwners, findHandleOwners } from './open-handles.ts';
import { readNamespaces } from './namespaces.ts';
import { describeReach, findReaches, judgeReaches } from './reach.ts';
import { type Region, homeRegion } from './region.ts';

/** The users of the old /home that do not switch to the new /home when it is mounted. */
export interface Users {
  /** Obstacles to the migration, one sentence each, with the solution. */
  obstacles: string[];
  /** Processes in namespaces where /home is read-only. They see the old /home until they are restarted. */
  stale: string[];
  /** Processes that use files or directories in /home. */
  owners: HandleOwner[];
}

const shownObstacles = 10;

/** Finds the users of a region. @param home the mount that serves /home now */
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

/** Finds the users of the present /home. */
export async function findHomeUsers(reader: SystemReader): Promise<Users> {
  const mounts = readMounts(reader);
  const home = mounts.serving('/home');
  if (home === undefined) throw new SystemError('no mount serves /home');
  return findUsers(reader, await homeRegion(reader, mounts), home);
}

/**
 * Verifies that no process can write to the old /home.
 * @param region the old /home, which is read-only, or covered by another file system
 * @throws SystemError EBUSY naming the writable paths to the old /home, and the processes that have files in it open
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

/** Verifies that both lists are empty. @throws SystemError EBUSY with their items and the advice */
export function expectNone(
  obstacles: readonly string[],
  owners: readonly HandleOwner[],
  advice: string,
): void {
  const inUse = owners.length === 0 ? [] : [`In use: ${describeHandleOwners(owners)}.`];
  if (obstacles.length + inUse.length === 0) return;
  throw new SystemError([...obstacles, ...inUse, advice].join(' '), 'EBUSY');
}

function firstFew(sentences: string[]): string[] {
  const more = sentences.length - shownObstacles;
  return more > 0 ? [...sentences.slice(0, shownObstacles), `And ${more} more.`] : sentences;
}
