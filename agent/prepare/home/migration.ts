import type { Context, Shared } from '../engine/context.ts';
import type { Volume } from './inspect.ts';
import { clearWorkFolder, openWorkFolder } from './mounting.ts';
import type { MarkerStore } from './progress-marker.ts';
import type { Region } from './region.ts';

/** The state that the actions of one migration share. */
export interface Migration {
  /** The new file system, mounted for copying, and its progress marker. */
  staged: { volume: Volume; marker: MarkerStore } | undefined;
  /** The old /home; undefined until it is read-only. */
  oldHome: Region | undefined;
  /** Makes the old /home writable again; undefined if it is writable, or if the new /home is mounted over it. */
  release: (() => Promise<void>) | undefined;
}

/**
 * Opens the shared state of a migration (`Context.shared`). Removes mounts that an interrupted run left, and creates
 * the folders for mounts. From then until the end of the step, a signal aborts the migration instead of ending this
 * process.
 */
export async function openMigration(context: Context): Promise<Shared<Migration>> {
  // Leave /home so that our own cwd does not keep it busy.
  process.chdir('/');
  const ignoreSignals = context.abortOnSignals();
  try {
    await openWorkFolder(context);
  } catch (error) {
    ignoreSignals();
    throw error;
  }
  const migration: Migration = { staged: undefined, oldHome: undefined, release: undefined };
  const close = async () => {
    try {
      await migration.release?.();
    } finally {
      await clearWorkFolder(context).finally(ignoreSignals);
    }
  };
  return { value: migration, close };
}

/** Returns the file system that format-home or copy-home mounted, and its marker. */
export function stagedIn({ staged }: Migration): NonNullable<Migration['staged']> {
  if (staged === undefined) throw new Error('no file system is mounted for copying /home');
  return staged;
}
