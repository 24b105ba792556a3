import { SystemError } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import { findBacking } from './backing.ts';
import { type HandleOwner, describeHandleOwners, findHandleOwners } from './open-handles.ts';
import { readNamespaces } from './namespaces.ts';
import { type Reach, describeReach, findReaches, judgeReaches } from './reach.ts';
import { type Region, regionOf } from './region.ts';
import { readMountTable } from '../../facts/mounts/mountinfo.ts';

/** The users of a directory that do not switch to the new one when it is mounted. */
export interface Users {
  /** Obstacles to the move, one sentence each, with the solution. */
  obstacles: string[];
  /** The obstacles that remain when the processes of `inNamespaces` have ended. */
  lasting: string[];
  /** Processes with a mount namespace of their own in which the old directory would stay. */
  inNamespaces: HandleOwner[];
  /** Processes in namespaces where the directory is read-only. They see the old one until they are restarted. */
  stale: string[];
  /** Processes that use files or directories in it. */
  owners: HandleOwner[];
}

const shownObstacles = 10;

/** Finds the users of the directory that a path leads to now. */
export async function findUsers(reader: SystemReader, path: string): Promise<Users> {
  const mounts = readMountTable(reader);
  const region = await regionOf(reader, mounts, path);
  const namespaces = readNamespaces(reader, region);
  const { obstacles, stale } = judgeReaches(namespaces, region, mounts.serving(path)?.id ?? 0);
  const kept = namespaces.kept.map(
    (target) =>
      `A mount namespace without a process is kept at ${target} and may contain ${path}: umount ${target}.`,
  );
  const other = [...(await findBacking(reader, region, namespaces)), ...kept];
  const describe = (reach: Reach) => describeReach(reader, region, reach);
  return {
    obstacles: firstFew([...obstacles.map(describe), ...other]),
    lasting: firstFew([...obstacles.filter(({ namespace }) => namespace.own).map(describe), ...other]),
    inNamespaces: obstacles
      .filter(({ namespace }) => !namespace.own)
      .map(({ namespace: { pid, name }, path: where }) => ({
        pid,
        name,
        how: `has ${where} in a mount namespace`,
      })),
    stale: [...new Set(stale.map(({ namespace: { who } }) => who))],
    owners: await findHandleOwners(reader, region, namespaces),
  };
}

/** Finds the processes that have files of the directory open that a path leads to now. */
export async function findOwners(reader: SystemReader, path: string): Promise<HandleOwner[]> {
  const region = await regionOf(reader, readMountTable(reader), path);
  return findHandleOwners(reader, region, readNamespaces(reader, region));
}

/**
 * Verifies that no process can write to the old directory.
 * @param region the old directory, which is read-only, or covered by another file system
 * @throws SystemError EBUSY naming the writable paths to it, and the processes that have files in it open
 */
export async function expectUnreachable(reader: SystemReader, region: Region, advice: string): Promise<void> {
  const namespaces = readNamespaces(reader, region);
  const reaches = findReaches(namespaces, region).filter(({ mount }) => mount.writable);
  const problems = firstFew([
    ...reaches.map((reach) => describeReach(reader, region, reach)),
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
