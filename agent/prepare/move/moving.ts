import type { TreeState } from '../../system/writer.ts';
import type { Context, Shared } from '../engine/context.ts';
import { settle } from './interrupted.ts';
import { clearWorkFolder, openWorkFolder } from './mounting.ts';
import type { Region } from './region.ts';

/** The state that the actions of one step share while it moves directories, one after the other. */
export interface Moving {
  /** The old directory, and the state of its files; undefined until it is read-only and compared with the copy. */
  old: { region: Region; state: TreeState } | undefined;
  /** Makes the old directory writable again; undefined if it is writable, or if the new one is mounted over it. */
  release: (() => Promise<void>) | undefined;
}

/**
 * Opens the shared state of a step (`Context.shared`): ends what an interrupted run left, and creates the folders for mounts.
 * From then until the end of the step, a signal aborts the move instead of ending this process.
 */
export async function openMoving(context: Context): Promise<Shared<Moving>> {
  // Leave the directory so that our own cwd does not keep it busy.
  process.chdir('/');
  const ignoreSignals = context.abortOnSignals();
  const moving: Moving = { old: undefined, release: undefined };
  const close = async () => {
    try {
      await moving.release?.();
      await clearWorkFolder(context);
      await settle(context);
    } finally {
      ignoreSignals();
    }
  };
  try {
    await openWorkFolder(context);
    await settle(context);
  } catch (error) {
    ignoreSignals();
    throw error;
  }
  return { value: moving, close };
}
