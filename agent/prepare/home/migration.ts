import type { Context, Shared } from '../engine/context.ts';
import type { Volume } from './inspect.ts';
import { clearWorkFolder, openWorkFolder } from './mounting.ts';
import type { MarkerStore } from './progress-marker.ts';
import type { Region } from './region.ts';

/** What the actions of one migration share. */
export interface Migration {
  /** The new file system, mounted for copying, and its progress marker. */
  staged: { volume: Volume; marker: MarkerStore } | undefined;
  /** The old /home, once it is read-only. */
  oldHome: Region | undefined;
  /** Makes the old /home writable again; undefined: it is writable, or the new one is in place. */
  release: (() => Promise<void>) | undefined;
}

/**
 * For `Context.shared`: removes what an interrupted run left mounted, and makes the folders for mounts. From then until the
 * end of the step, a signal aborts the migration instead of ending this process.
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

/** What format-home or copy-home mounted. */
export function stagedIn({ staged }: Migration): NonNullable<Migration['staged']> {
  if (staged === undefined) throw new Error('no file system is mounted for copying /home');
  return staged;
}
