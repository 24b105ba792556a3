import { SystemError, errorMessage } from '../../lib/errors.ts';
import { itemOptions } from '../../config/keys.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { Context } from '../engine/context.ts';
import { whyNotKept } from '../steps/persist.ts';
import { type MoveInRecord, nameNewPlace, nameOldPlace } from './config.ts';
import { oldContent } from '../../facts/boot/marker-files.ts';
import { compareTrees, contentOf, copyTree } from '../move/copy.ts';
import {
  type At,
  bringBack,
  contentPath,
  expectReplaced,
  locate,
  moveDirectory,
  setAside,
  whyNotMoved,
} from '../move/old-content.ts';
import { isNamed } from '../move/named.ts';
import { type Move, placeInStore, shownPlace } from '../move/record.ts';
import { type Trees, expectAllCopyable } from '../move/requirements.ts';
import { clearViews, fileSystemOf, makeDirectory, mountVolume, uncover, view } from '../move/views.ts';

/** What a task needs besides the context. */
export interface Task extends MoveInRecord {
  at: At;
}

const isOfVolume = ({ origin }: Move) => origin.volume !== null;

/**
 * Moves a directory to its new place. At every moment, a boot uses all of the old or all of the new content: until the
 * configuration names the new place and the copy has its final name, the old one.
 * @throws SystemError after everything is as it was; or, if an earlier boot has completed the copy, with the new place in use
 */
export async function moveAway(context: Context, task: Task): Promise<void> {
  const { move, save, at } = task;
  const { reader } = context;
  const isContinued = move.phase === 'switching';
  if (!isContinued) await copyAway(context, task);
  const wasUsed = isContinued && (await findUse(context, move));
  if (!isOfVolume(move)) await uncover(context, move.path);
  if (isContinued && !(await isUnchanged(context, move))) {
    if (wasUsed)
      throw new SystemError(
        `${move.path} on the system disk was changed after it was copied, and ${shownPlace(move)} is in use: compare them`,
      );
    await copyAway(context, task);
  }
  try {
    at('config');
    nameNewPlace(context, move, save);
    if (move.kind === 'state') {
      const { copy, final } = placeInStore(move);
      at('rename');
      if (reader.stat(final) === undefined)
        await moveDirectory(context, 'move', String(move.place.inode), copy, final);
    }
    at('renamed');
    if (!isOfVolume(move)) await setAside(context, move, at);
  } catch (error) {
    if (!wasUsed) await giveBack(context, task);
    throw error;
  }
  at('done');
  move.phase = 'moved';
}

/** Whether a boot may have used the new place since an earlier boot completed the copy. @throws SystemError if it is absent */
async function findUse({ reader }: Context, move: Move): Promise<boolean> {
  const reason =
    move.kind === 'state' ? await whyNotKept(reader, move.path, itemOptions(move.item).join(',')) : undefined;
  if (reason !== undefined) throw new SystemError(`${move.path} ${reason}`);
  return isUsed(reader, move);
}

/** Whether a boot uses the new place. */
function isUsed(reader: SystemReader, move: Move): boolean {
  if (!isNamed(reader, move)) return false;
  return move.kind === 'home' || reader.stat(placeInStore(move).final) !== undefined;
}

/**
 * Whether the old directory is as it was when it was compared with the copy. One that no boot can have used since then, because
 * it was set aside or fstab names the new /home, is not read.
 */
async function isUnchanged(context: Context, move: Move): Promise<boolean> {
  const { reader } = context;
  if (isOfVolume(move) ? isNamed(reader, move) : locate(reader, move) !== 'in place') return true;
  const content = await contentOf(context, await view(context, 'ro', move.path, 'old'));
  await clearViews(context, ['old']);
  return content === move.content;
}

async function copyAway(context: Context, { move, save, at }: Task): Promise<void> {
  const { path } = move;
  await expectOrigin(context, move);
  const from = await view(context, 'ro', path, 'old');
  expectIdentity(context, move, from);
  await expectAllCopyable(context, path, from);
  const to = await openNewPlace(context, move, save);
  try {
    const trees: Trees = { from, to, path, place: shownPlace(move) };
    at('copy');
    const seconds = await copyTree(context, trees);
    at('compare');
    move.content = await compareTrees(context, trees, seconds, from);
  } catch (error) {
    await discardCopy(context, move, to);
    throw error;
  }
  await clearViews(context);
  move.phase = 'switching';
  try {
    at('record');
    save();
  } catch (error) {
    move.phase = 'copying';
    throw error;
  }
}

/** @throws SystemError if the path leads to another directory than at the time of the plan, or can be made to */
async function expectOrigin({ reader }: Context, move: Move): Promise<void> {
  const { path, origin } = move;
  const options = itemOptions(move.item).join(',');
  const reason =
    (move.kind === 'state' ? await whyNotKept(reader, path, options) : undefined) ??
    whyNotMoved(reader, path);
  if (reason !== undefined) throw new SystemError(`${path} ${reason}`);
  if ((await fileSystemOf(reader, path)) !== origin.fs)
    throw new SystemError(
      `${path} is on another file system than when the move was planned: run prepare again`,
    );
}

function expectIdentity({ reader }: Context, { path, origin }: Move, mounted: string): void {
  const { kind, inode, uid, gid } = reader.stat(mounted) ?? {};
  if (kind === 'directory' && inode === origin.inode && uid === origin.uid && gid === origin.gid) return;
  throw new SystemError(
    `${path} is not the directory for which the move was planned, or has another owner: run prepare again`,
  );
}

/** Describes a file system that cannot be a new place, because it has files. */
export function notEmpty(fs: string, files: readonly string[]): string {
  return `the file system ${fs} is not empty: ${files.slice(0, 5).join(', ')}; remove its files, or use another file system`;
}

async function openNewPlace(context: Context, move: Move, save: () => void): Promise<string> {
  const { reader } = context;
  const { place, store, kind, phase } = move;
  if (kind === 'home') {
    const to = await mountVolume(context, { uuid: place.fs }, 'new');
    const found = reader.list(to).filter((name) => name !== 'lost+found');
    if (phase === 'planned' && found.length > 0) throw new SystemError(notEmpty(place.fs, found));
    begin(move, save);
    return to;
  }
  const { copy, final } = placeInStore(move);
  if (reader.stat(final) !== undefined) throw new SystemError(`${final} exists already: rename or remove it`);
  if (reader.stat(store) === undefined) await makeDirectory(context, store);
  if ((await fileSystemOf(reader, store)) !== place.fs)
    throw new SystemError(
      `${store} is on another file system than when the move was planned: run prepare again`,
    );
  if (reader.stat(copy) === undefined) await makeDirectory(context, copy);
  place.inode = reader.stat(copy)?.inode ?? null;
  begin(move, save);
  return view(context, 'rw', copy, 'new');
}

function begin(move: Move, save: () => void): void {
  move.phase = 'copying';
  save();
}

/** Removes an incomplete copy, which would only take space. */
async function discardCopy(context: Context, move: Move, to: string): Promise<void> {
  try {
    await context.writer.removeTree(to, () => undefined);
    await clearViews(context);
    if (move.kind === 'state') await context.run('/usr/bin/rmdir', [placeInStore(move).copy]);
  } catch (error) {
    context.say(`A part of the copy of ${move.path} remains: ${errorMessage(error)}`);
  }
  move.phase = 'planned';
}

/** Makes the boot use the old content again, before any service has used the new one. */
async function giveBack(context: Context, task: Task): Promise<void> {
  const { reader } = context;
  const { move } = task;
  if (!isOfVolume(move)) await bringBack(context, move, () => undefined);
  nameOldPlace(context, task);
  if (move.kind === 'state') {
    const { copy, final } = placeInStore(move);
    const { inode } = move.place;
    if (reader.stat(final)?.inode === inode && reader.stat(copy) === undefined)
      await moveDirectory(context, 'move', String(inode), final, copy);
  }
  move.phase = 'copying';
}

/**
 * Moves a directory back to the system disk, with what was written since. Until the configuration is restored, a boot uses the
 * new place; then, the old one, which has the same content.
 * @throws SystemError with the new place in use
 */
export async function moveBack(context: Context, task: Task): Promise<void> {
  const { move, at } = task;
  const { reader } = context;
  if (move.kind === 'home') await uncover(context, move.path);
  // Otherwise, an earlier boot has restored the configuration.
  if (move.phase !== 'restoring' || isNamed(reader, move)) await copyBack(context, task);
  try {
    if (!isOfVolume(move)) await bringBack(context, move, at);
    at('config');
    nameOldPlace(context, task);
  } catch (error) {
    if (!isOfVolume(move) && isNamed(reader, move)) await setAside(context, move, () => undefined);
    throw error;
  }
  if (move.kind === 'state') {
    const { copy, final } = placeInStore(move);
    at('rename');
    const { inode } = reader.stat(final) ?? {};
    if (inode !== undefined && reader.stat(copy) === undefined)
      await moveDirectory(context, 'move', String(inode), final, copy);
  }
  at('done');
}

async function copyBack(context: Context, task: Task): Promise<void> {
  const { move, save, at } = task;
  const { reader } = context;
  const from = await openUsedPlace(context, move);
  // An earlier boot has put the directory back, and ended before the configuration was restored.
  if (move.phase === 'restoring' && !isOfVolume(move) && !(await isUnchanged(context, move)))
    throw new SystemError(`${move.path} on the system disk was changed after it was copied back`);
  if (!isOfVolume(move)) {
    await setAside(context, move, at);
    expectReplaced(reader, move);
  }
  move.phase = 'returning';
  save();
  const to = isOfVolume(move)
    ? await mountVolume(context, { uuid: move.origin.fs }, 'old')
    : await view(context, 'rw', contentPath(move), 'old');
  // A hard link may be to a file outside of the directory, whose owner and mode rsync would change with those of the link.
  await context.run('/usr/bin/find', [to, '-xdev', '!', '-type', 'd', '-links', '+1', '-delete'], {
    seconds: 86400,
  });
  const trees: Trees = { from, to, path: move.path, place: 'the system disk' };
  at('copy');
  const seconds = await copyTree(context, trees);
  at('compare');
  move.content = await compareTrees(context, trees, seconds, to);
  await clearViews(context);
  move.phase = 'restoring';
  at('record');
  save();
}

/** Mounts the new place, which is in use. @throws SystemError if it is not there */
async function openUsedPlace(context: Context, move: Move): Promise<string> {
  if (move.kind === 'home') return mountVolume(context, { uuid: move.place.fs }, 'new');
  const reason = await whyNotReturned(context, move);
  if (reason !== undefined) throw new SystemError(reason);
  return view(context, 'ro', placeInStore(move).final, 'new');
}

/** Returns why state cannot be moved back now, as a sentence; undefined if it can. */
export async function whyNotReturned(
  { reader }: Pick<Context, 'reader'>,
  move: Move,
): Promise<string | undefined> {
  const { path, item, kind, place } = move;
  if (kind === 'home') {
    const found = await fileSystemOf(reader, path);
    return found === place.fs
      ? undefined
      : `The file system ${place.fs} is not mounted on ${path}: attach its disk.`;
  }
  const reason = await whyNotKept(reader, path, itemOptions(item).join(','));
  if (reason !== undefined) return `${path} ${reason}`;
  const { final } = placeInStore(move);
  return reader.stat(final) === undefined
    ? `${final}, which has the content of ${path}, does not exist: attach the disk that has it, or restore it.`
    : undefined;
}

/**
 * Removes the old content of a directory.
 * @throws SystemError if it was changed after the move, in which case nothing is removed
 */
export async function purge(context: Context, { move, save, at }: Task): Promise<void> {
  const { reader, writer } = context;
  if (isOfVolume(move))
    throw new SystemError(
      `the old ${move.path} is a volume of its own, ${move.origin.volume}: remove it manually`,
    );
  const reason = await whyNotReturned(context, move);
  if (reason !== undefined) throw new SystemError(reason);
  if (!isUsed(reader, move))
    throw new SystemError(`${shownPlace(move)} is not in use, because ${move.file} does not name it`);
  if (move.kind === 'home') await uncover(context, move.path);
  await setAside(context, move, at);
  const old = await view(context, 'rw', contentPath(move), 'old');
  if (!move.purged) {
    const problem = await whyNotPurged(context, move, old);
    if (problem !== undefined) throw new SystemError(`${problem}: nothing is removed`);
    move.purged = true;
    save();
  }
  at('purge');
  context.say(`Removing the old content of ${move.path} from the system disk`);
  const kept = await writer.removeTree(old, () => at('purging'));
  if (kept.length > 0)
    throw new SystemError(
      `${kept.length} files of ${contentPath(move)} are immutable or on another file system: ${kept.slice(0, 5).join('; ')}`,
    );
}

/** Returns why the old content must be kept, as a clause. */
async function whyNotPurged(context: Context, move: Move, old: string): Promise<string | undefined> {
  if ((await contentOf(context, old)) === move.content) return undefined;
  const since = move.at === null ? [] : ['-newerct', `@${Math.floor(Date.parse(move.at) / 1000)}`];
  const args = [old, '-xdev', '-mindepth', '1', ...since, '-print', '-quit'];
  const name = (await context.run('/usr/bin/find', args)).trim().slice(old.length + 1);
  return `the old content of ${move.path} was changed after the move (${name === '' ? oldContent : name})`;
}
