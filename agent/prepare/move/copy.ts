import { SystemError } from '../../lib/errors.ts';
import { formatBytes } from '../../lib/format.ts';
import type { TreeState } from '../../system/writer.ts';
import type { Context } from '../engine/context.ts';
import { makeReadOnly, staging } from './mounting.ts';
import type { Moving } from './moving.ts';
import { expectAllCopyable } from './not-copied.ts';
import { regionOf } from './region.ts';
import { copyTree, findDifferences } from './rsync.ts';
import { expectSpace } from './space-check.ts';
import { expectUnreachable } from './users.ts';
import { readMountTable } from '../../facts/mounts/mountinfo.ts';

/** A directory whose content moves to the directory that is mounted at `staging`. */
export interface Move {
  path: string;
  /** Where the content goes, for messages. */
  to: string;
  /** The type of the new file system; empty if only a directory of it is used. */
  type: string;
  /** Makes the comparison read the disk and not the page cache. */
  dropCache: () => Promise<void>;
}

/** Milliseconds. After a shorter pass, the directory is made read-only for the final pass. */
const shortPass = 60_000;
const mostPasses = 4;

/** Copies a directory while it is in use. Files that an interrupted run has copied are not copied again. */
export async function copyInUse(context: Context, { path, to, type }: Move): Promise<void> {
  const bytes = await expectSpace(context, path, to);
  context.say(`Copying ${path} (${formatBytes(bytes)}) to ${to}; it can be used meanwhile`);
  for (let pass = 0; pass < mostPasses; pass++) {
    const began = performance.now();
    await copyTree(context, { from: path, to: staging, type, live: true, bytes: pass === 0 ? bytes : 0 });
    if (performance.now() - began < shortPass) break;
  }
}

/**
 * Makes a directory read-only, copies the remaining changes and compares every byte. The directory stays read-only until
 * the switch. If an action fails before, it becomes writable again at the end of the step.
 * @param advice what to do about processes that can still write to the directory
 * @throws SystemError EBUSY naming these processes
 */
export async function copyFinally(
  context: Context,
  moving: Moving,
  move: Move,
  advice: string,
): Promise<NonNullable<Moving['old']>> {
  const { reader } = context;
  const region = await regionOf(reader, readMountTable(reader), move.path);
  moving.release = await makeReadOnly(context, move.path);
  // Checked again, because a process may have started to use the directory after the first check.
  await expectUnreachable(reader, region, advice);
  await expectAllCopyable(context, move.path);
  context.say(
    `Copying what has changed meanwhile, and comparing every byte; ${move.path} is read-only until then`,
  );
  const state = await copyRest(context, move, false);
  moving.old = { region, state };
  return moving.old;
}

/**
 * Copies the remaining changes and compares the directory with the copy. A power cut in an earlier run can leave a file
 * with the right size and time but the wrong content. If the comparison finds such a file, the copy is repeated with
 * checksums.
 * @param checksum whether files with the same size and time are compared by content, too
 * @returns the state of the directory that was compared
 * @throws SystemError naming the files that still differ after a copy with checksums
 */
export async function copyRest(context: Context, move: Move, checksum: boolean): Promise<TreeState> {
  const copying = { from: move.path, to: staging, type: move.type };
  await copyTree(context, { ...copying, live: false, bytes: 0, checksum });
  await move.dropCache();
  // Read before the comparison, so that any later change of a file is a difference from this state.
  const state = await context.writer.readTree(move.path, context.checkAborted);
  const differences = await findDifferences(context, copying);
  if (differences === undefined) return state;
  if (checksum) throw new SystemError(differences);
  context.say(`${differences}; copying these again`);
  return copyRest(context, move, true);
}
