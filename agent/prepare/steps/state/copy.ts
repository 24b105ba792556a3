import { SystemError } from '../../../lib/errors.ts';
import type { ActionOf, Context, Executor } from '../../engine/context.ts';
import { placeInStore } from '../../engine/step.ts';
import { type Move, copyFinally, copyInUse } from '../../move/copy.ts';
import { mountProgram, staging, unstage } from '../../move/mounting.ts';
import { openMoving } from '../../move/moving.ts';
import { expectAllCopyable } from '../../move/requirements.ts';
import { stopUsers } from '../../move/units.ts';
import { expectUnreachable, findUsers } from '../../move/users.ts';
import { whyNotKept } from '../persist.ts';
import { whyNotMoved } from './old-content.ts';

/**
 * Copies a directory to PERSIST_STORE while it is in use. Files that an interrupted run has copied are not copied again.
 * @throws SystemError if a boot would not keep the directory, or if the store fails or is too small
 */
export const copyState: Executor<ActionOf<'copy-state'>> = {
  execute: async (context, action) => {
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
  },
};

/**
 * Stops the services that use a directory, makes it read-only, copies the remaining changes and compares every byte. If an
 * action fails before the switch, the directory becomes writable again at the end of the step, and the services start.
 * @throws SystemError EBUSY if others than services use the directory, naming them
 */
export const verifyState: Executor<ActionOf<'verify-state'>> = {
  execute: async (context, action) => {
    const moving = await context.shared(openMoving);
    const { reader } = context;
    const { path, copy, final } = placeInStore(action);
    await stageDirectory(context, copy);
    await stopUsers(context, path, await findUsers(reader, path), { copy, final }, advice);
    const { region } = await copyFinally(context, moving, moveTo(context, path, copy), advice);
    // The last check before the switch, at the end of this action, so that no switch is logged if it fails.
    await expectUnreachable(reader, region, advice);
  },
};

const advice =
  'These would continue to use the old directory. The copy is kept. End them (in a shell: cd /), and run --apply again';

/** Describes a move of a directory to the one that is mounted at `staging`. @param to names it in messages */
export function moveTo(context: Context, path: string, to: string): Move {
  return { path, to, type: '', dropCache: () => dropCache(context) };
}

/** Mounts a directory for copying, which is created if it does not exist. */
export async function stageDirectory(context: Context, directory: string): Promise<void> {
  await unstage(context);
  context.writer.makeDirectory(directory, 0o700);
  await context.run(mountProgram, ['--bind', directory, staging]);
}

/** Writes all changes to the disks, and drops unchanged pages from the page cache (proc_sys_vm(5)). */
async function dropCache({ runAlways, runAbortable }: Context): Promise<void> {
  await runAlways('/usr/bin/sync', []);
  await runAbortable('/usr/sbin/sysctl', ['-q', 'vm.drop_caches=1']);
}
