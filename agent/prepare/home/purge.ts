import { SystemError } from '../../lib/errors.ts';
import type { WalkedFile } from '../../system/writer.ts';
import type { SystemReader } from '../../system/reader.ts';
import { type ActionLog, readActionLog } from '../engine/action-log.ts';
import type { Context } from '../engine/context.ts';
import { linesOf } from '../engine/fstab.ts';
import { readCutoverState } from './cutover.ts';
import { openMoving } from '../move/moving.ts';
import { homeMount } from './migration.ts';
import { withCovered } from '../move/mounting.ts';
import { coveredRegion } from '../move/region.ts';
import { compareTrees, unescapeName } from '../move/copy.ts';
import { expectUnreachable } from '../move/users.ts';
import { readMountTable } from '../../facts/mounts/mountinfo.ts';

/**
 * Removes the dispensable files from the old /home on the system disk. A file is dispensable if every byte of it is the
 * same in the new /home, or if it was changed or removed in the new /home after the cutover and the old file has not
 * changed since the cutover. All other files are kept and listed.
 * @throws SystemError EBUSY if a process can write to the old /home, in which case nothing is removed; ENOTEMPTY listing
 * the kept files
 */
export async function purgeHome(context: Context): Promise<void> {
  const { reader, writer, checkAborted } = context;
  const migrated = findMigration(readActionLog(reader));
  if (migrated === undefined) throw new SystemError('the action log does not contain the cutover of /home');
  if (migrated.volume !== undefined) {
    throw new SystemError(`the old /home is a volume of its own, ${migrated.volume}: remove it manually`);
  }
  await context.shared(openMoving);
  await withCovered(context, '/home', async (old) => {
    expectSeparate(reader, old);
    await expectUnreachable(
      reader,
      coveredRegion(reader, '/home'),
      'Nothing is removed while the old /home can be changed: end them, then run --purge-old-home again',
    );
    const isDispensable = await prove(context, old, migrated);
    context.say(
      'Removing the files of the old /home that are identical in the new /home or were changed there after the move',
    );
    const kept: string[] = [];
    await writer.removeTree(old, checkAborted, isDispensable, (name) => kept.push(name));
    if (kept.length > 0) throw new SystemError(describeKept(kept), 'ENOTEMPTY');
  });
}

function describeKept(kept: readonly string[]): string {
  const more = kept.length > 20 ? `; and ${kept.length - 20} more` : '';
  const [files, are] = kept.length === 1 ? ['1 file', 'is'] : [`${kept.length} files`, 'are'];
  return `${files} of the old /home ${are} kept, because each was changed in the old /home after the move, or differs in the new one without a change there: ${kept.slice(0, 20).join('; ')}${more}. They are below the mount on /home: mount --bind / /mnt shows them in /mnt/home. Copy what is needed to the new /home, and remove them there`;
}

interface Migrated {
  /** The time at which the line for the new /home was added to fstab, in milliseconds since the epoch. */
  at: number;
  /** The source of the old /home in fstab; undefined if the old /home was a folder. */
  volume: string | undefined;
  /** The UUID of the new file system; empty if fstab does not name it by UUID. */
  uuid: string;
}

/**
 * Finds the last action that changed the source of /home in fstab: a cutover, or an `edit` (existing-home.ts). Failed
 * cutovers are ignored, because they restore fstab.
 */
export function findMigration(log: ActionLog): Migrated | undefined {
  for (const { action, began, step, problem } of log.toReversed()) {
    const isEdit = action.do === 'edit' || action.do === 'cutover-home';
    if (step !== 'home' || !isEdit || action.file !== '/etc/fstab') continue;
    if (action.do === 'cutover-home' && problem !== null) continue;
    const [before] = linesOf(action.before ?? '', '/home');
    const [after] = linesOf(action.after ?? '', '/home');
    if (after === undefined || after.source === before?.source) continue;
    const uuid = /^UUID=(.+)$/.exec(after.source)?.[1] ?? '';
    return { at: Date.parse(began), volume: before?.source, uuid };
  }
  return undefined;
}

/** Verifies that the old /home is not the one in use. @throws SystemError if it is */
function expectSeparate(reader: SystemReader, old: string): void {
  const mounts = readMountTable(reader);
  const home = homeMount(mounts);
  if (home === undefined) throw new SystemError('/home is a directory of the system disk: it was not moved');
  if (mounts.serving(old)?.device === home.device) {
    throw new SystemError(`${old} and /home are on the same file system`);
  }
}

/**
 * Compares the old /home with the new /home.
 * @returns a function that tests whether a file of the old /home is dispensable
 */
async function prove(
  context: Context,
  old: string,
  { at, uuid }: Migrated,
): Promise<(file: WalkedFile) => boolean> {
  const { reader, writer } = context;
  const cutover = readCutoverState(reader, uuid);
  // Read before the comparison, so that files that change from here on are kept.
  const compared = await writer.readTree(old, context.checkAborted);
  const different = new Map<string, string>();
  await compareTrees(context, { from: old, to: '/home', type: 'xfs' }, (item) => {
    const [, how = '', name = ''] = /^(\S+) +(.*)$/s.exec(item) ?? [];
    // *deleting: the file exists only in the new /home.
    if (how !== '*deleting') different.set(unescapeName(name).replace(/\/$/, ''), how);
  });
  return ({ name, directory, state }) => {
    if (!compared.has(name, state)) return false;
    const how = different.get(name);
    // The times of a directory may differ, because they change when files in it are removed, also by an interrupted
    // run.
    if (how === undefined || (directory && /^\.d\.\.t\.*$/.test(how))) return true;
    if (cutover?.has(name, state) !== true) return false;
    return writer.lastChange('/home', name) > at;
  };
}
