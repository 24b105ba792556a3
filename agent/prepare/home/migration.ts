import type { Context, Shared } from '../engine/context.ts';
import { type Moving, openMoving } from '../move/moving.ts';
import type { Volume } from './inspect.ts';
import type { MarkerStore } from './progress-marker.ts';

/** The state that the actions of one migration of /home share. */
export interface Migration {
  /** The new file system, mounted for copying, and its progress marker. */
  staged: { volume: Volume; marker: MarkerStore } | undefined;
  moving: Moving;
}

/** Opens the shared state of a migration (`Context.shared`). */
export async function openMigration(context: Context): Promise<Shared<Migration>> {
  const moving = await context.shared(openMoving);
  return { value: { staged: undefined, moving }, close: () => Promise.resolve() };
}

/** Returns the file system that format-home or copy-home mounted, and its marker. */
export function stagedIn({ staged }: Migration): NonNullable<Migration['staged']> {
  if (staged === undefined) throw new Error('no file system is mounted for copying /home');
  return staged;
}
