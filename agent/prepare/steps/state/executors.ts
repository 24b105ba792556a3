import { SystemError } from '../../../lib/errors.ts';
import type { ActionOf, Context, Executor } from '../../engine/context.ts';
import { placeInStore } from '../../engine/step.ts';
import { type Move, copyFinally, copyInUse, copyRest, oldContent } from '../../move/copy.ts';
import {
  mountProgram,
  staging,
  unstage,
  removeReadOnlyView,
  umountProgram,
  withCovered,
} from '../../move/mounting.ts';
import { expectAllCopyable } from '../../move/requirements.ts';
import { stopUsers } from '../../move/units.ts';
import { expectUnreachable, findUsers, findOwners } from '../../move/users.ts';
import { whyNotKept, expectKept, isKept, persistProgram } from '../persist.ts';
import { whyNotMoved, bringBack, setAside } from './old-content.ts';
import { parseConfig, words } from '../../../config/config.ts';
import type { SystemReader } from '../../../system/reader.ts';
import { bindOptions, openMoving, renameInStore, settle } from '../../move/moving.ts';
import { editConfig } from '../writes/proposal.ts';
import { readMountTable } from '../../../facts/mounts/mountinfo.ts';
import { pathOf } from '../../../config/keys.ts';

/**
 * Copies a directory to PERSIST_STORE while it is in use. Files that an interrupted run has copied are not copied again.
 * @throws SystemError if a boot would not keep the directory, or if the store fails or is too small
 */
export async function copyState(context: Context, action: ActionOf<'copy-state'>): Promise<void> {
  await context.shared(openMoving);
  const { reader, writer } = context;
  const { path, copy, final } = placeInStore(action);
  const options = action.item.slice(path.length + 1);
  const reason = (await whyNotKept(reader, path, options)) ?? whyNotMoved(reader, path);
  if (reason !== undefined) throw new SystemError(`${path} ${reason}`);
  if (reader.stat(final) !== undefined) throw new SystemError(`${final} exists already: run prepare again`);
  await expectAllCopyable(context, path);
  writer.makeDirectory(action.store, 0o700);
  await stageDirectory(context, copy);
  await copyInUse(context, moveTo(context, path, copy));
}

/**
 * Stops the services that use a directory, makes it read-only, copies the remaining changes and compares every byte. If an
 * action fails before the switch, the directory becomes writable again at the end of the step, and the services start.
 * @throws SystemError EBUSY if others than services use the directory, naming them
 */
export async function verifyState(context: Context, action: ActionOf<'verify-state'>): Promise<void> {
  const moving = await context.shared(openMoving);
  const { reader } = context;
  const { path, copy, final } = placeInStore(action);
  await stageDirectory(context, copy);
  await stopUsers(context, path, await findUsers(reader, path), { copy, final }, advice);
  const { region } = await copyFinally(context, moving, moveTo(context, path, copy), advice);
  // The last check before the switch, at the end of this action, so that no switch is logged if it fails.
  await expectUnreachable(reader, region, advice);
}

const advice =
  'These would continue to use the old directory. The copy is kept. End them (in a shell: cd /), and run --apply again';

/** Describes a move of a directory to the one that is mounted at `staging`. @param to names it in messages */
function moveTo(context: Context, path: string, to: string): Move {
  return { path, to, type: '', dropCache: () => dropCache(context) };
}

/** Mounts a directory for copying, which is created if it does not exist. */
async function stageDirectory(context: Context, directory: string): Promise<void> {
  await unstage(context);
  context.writer.makeDirectory(directory, 0o700);
  await context.run(mountProgram, ['--bind', directory, staging]);
}

/** Writes all changes to the disks, and drops unchanged pages from the page cache (proc_sys_vm(5)). */
async function dropCache({ runAlways, runAbortable }: Context): Promise<void> {
  await runAlways('/usr/bin/sync', []);
  await runAbortable('/usr/sbin/sysctl', ['-q', 'vm.drop_caches=1']);
}

/**
 * Adds the item to PERSIST, gives the copy its final name, mounts it as a boot does, and starts the services. At every
 * moment, a boot uses a complete content: until the copy has its final name, it uses that of the system disk, which it
 * copies again if PERSIST names the directory.
 * @throws SystemError if the copy cannot be mounted; PERSIST is then restored
 */
export const switchState: Executor<ActionOf<'switch-state'>> = {
  complete: (context, action) => {
    context.checkAborted();
    const before = context.reader.readIfPresent(action.file, 65536) ?? null;
    return Promise.resolve({ ...action, before, after: withItem(context.reader, before ?? '', action.item) });
  },
  execute: async (context, action) => {
    const moving = await context.shared(openMoving);
    const { reader, writer, runAlways } = context;
    const { file, before, after } = action;
    const place = placeInStore(action);
    const { path, copy, final } = place;
    const { old } = moving;
    if (after === null || old?.region.path !== path) throw new Error('the copy was not verified');
    await unstage(context);
    try {
      writer.replaceText(file, after);
      await runAlways('/usr/bin/sync', []);
      await renameInStore(context, copy, final);
      await moving.release?.();
      moving.release = undefined;
      await reload(context);
      await runAlways(persistProgram, ['mount', path]);
      expectKept(reader, place);
      await withCovered(context, path, async (directory) => {
        const { text } = await writer.readTree(directory, () => undefined);
        if (text() === old.state.text()) return;
        throw new SystemError(`${path} was changed while the copy was mounted: run --apply again`, 'EBUSY');
      });
    } catch (error) {
      if (isKept(readMountTable(reader), place)) await runAlways(umountProgram, [path]);
      if (before === null) writer.remove(file);
      else writer.replaceText(file, before);
      await reload(context);
      throw error;
    }
    await settle(context);
    context.say(`${path} is now kept in ${final}`);
  },
  revert: async (context, action) => {
    await context.shared(openMoving);
    const place = placeInStore(action);
    const { path, copy, final } = place;
    const { reader, run, runAlways } = context;
    if (!isKept(readMountTable(reader), place)) {
      if (reader.stat(final) !== undefined) expectKept(reader, place);
      restoreConfig(context, action);
      return `${path}: removed from PERSIST`;
    }
    await withCovered(context, path, async (directory) => {
      await setAside(context, place, directory);
      await stageDirectory(context, `${directory}/${oldContent}/content`);
      await copyInUse(context, moveTo(context, path, 'the system disk'));
      const users = { owners: await findOwners(reader, path), lasting: [], inNamespaces: [] };
      await stopUsers(context, path, users, { copy, final }, 'End them, and run --undo again');
      const { options = [] } = readMountTable(reader).serving(path) ?? {};
      await run(mountProgram, ['-o', bindOptions(options, 'ro'), path]);
      context.say(
        `Copying what has changed meanwhile, and comparing every byte; ${path} is read-only until then`,
      );
      await copyRest(context, moveTo(context, path, 'the system disk'), false);
      await unstage(context);
      await bringBack(context, directory);
      await runAlways('/usr/bin/touch', ['--reference', path, directory]);
      await renameInStore(context, final, copy);
      await unmount(context, path);
      restoreConfig(context, action);
    });
    // The view of the move that this reverts may be below.
    await removeReadOnlyView(context, path);
    await reload(context);
    return `${path}: moved back to the system disk; the copy is still in ${copy}`;
  },
};

/**
 * Unmounts a directory whose users are stopped. A socket that a process listens on keeps it busy, such as rsyslog's in the
 * chroot of Postfix: the read-only mount then exists, without a path, until the process closes the socket.
 */
async function unmount({ runAlways }: Context, path: string): Promise<void> {
  try {
    await runAlways(umountProgram, [path]);
  } catch {
    await runAlways(umountProgram, ['--lazy', path]);
  }
}

/** Returns the configuration file with an item in PERSIST. @throws SystemError if it must be changed manually */
function withItem(reader: SystemReader, text: string, item: string): string | null {
  const items = words(parseConfig(text).config.PERSIST);
  if (items.some((each) => pathOf(each) === pathOf(item))) return text;
  return changed(reader, [...items, item]);
}

function changed(reader: SystemReader, items: readonly string[]): string | null {
  const edits = editConfig(reader, { PERSIST: items.join(' ') });
  if (typeof edits === 'string') throw new SystemError(edits);
  return edits[0]?.after ?? null;
}

/** Restores the configuration file, or removes the item if the file was changed since. */
function restoreConfig(
  { reader, writer }: Context,
  { file, item, before, after }: ActionOf<'switch-state'>,
): void {
  const now = reader.readIfPresent(file, 65536) ?? '';
  if (now === after && before !== null) {
    writer.replaceText(file, before);
    return;
  }
  const items = words(parseConfig(now).config.PERSIST).filter((each) => pathOf(each) !== pathOf(item));
  const text = changed(reader, items);
  if (text !== null) writer.replaceText(file, text);
}

/** Makes systemd read the units that immutafs-generator writes for PERSIST. */
async function reload({ reader, runAlways }: Context): Promise<void> {
  if (reader.stat('/run/systemd/system')) await runAlways('/usr/bin/systemctl', ['daemon-reload']);
}
