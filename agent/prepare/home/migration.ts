import type { Config } from '../../config/config.ts';
import type { Mount, MountTable } from '../../facts/mounts/mountinfo.ts';
import { requiredOptions } from '../../facts/mounts/targets.ts';
import { replaceLines } from '../engine/fstab.ts';
import type { Context, Shared } from '../engine/context.ts';
import { isReadOnlyView, mountProgram, staging, umountProgram } from '../move/mounting.ts';
import { type Moving, openMoving } from '../move/moving.ts';
import type { Volume } from './inspect.ts';
import type { MarkerPlace } from './progress-marker.ts';

export interface Migration {
  /** The new file system, mounted for copying, and its progress marker. */
  staged?: { volume: Volume; marker: MarkerPlace };
  moving: Moving;
}

export async function openMigration(context: Context): Promise<Shared<Migration>> {
  return { value: { moving: await context.shared(openMoving) } };
}

/** Returns the file system that format-home or copy-home mounted, and its marker. */
export function stagedIn({ staged }: Migration): NonNullable<Migration['staged']> {
  if (staged === undefined) throw new Error('no file system is mounted for copying /home');
  return staged;
}

/** The mount options of /home (docs/prepare-home.md), which permit no programs, devices or set-user-ID files. */
export const homeOptions = ['rw', 'noexec', 'nodev', 'nosuid'];

/**
 * Returns fstab(5) with the line for the new /home. The pass is 0, because XFS is not checked at boot, and a sealed
 * boot checks no file system.
 * @param text fstab, one character per byte
 */
export function withHome(text: string, { uuid, type }: Pick<Volume, 'uuid' | 'type'>): string {
  // Takes precedence over errors=panic in the superblock, which root in a sealed boot can set.
  const options = [...homeOptions, ...(/^ext[234]$/.test(type) ? ['errors=remount-ro'] : [])];
  return replaceLines(text, '/home', `UUID=${uuid} /home ${type} ${options.join(',')} 0 0`);
}

/** Returns the options that REQUIRE_OPTIONS has for /home, of which it can have several items. */
export function requiredForHome(config: Config): string[] {
  const items = requiredOptions(config).filter(({ target }) => target === '/home');
  return [...new Set(items.flatMap(({ list }) => list))];
}

/** Returns the mount on /home; undefined if there is none, or only the read-only view of a move. */
export function homeMount(mounts: MountTable): Mount | undefined {
  const home = mounts.serving('/home');
  return home?.target === '/home' && !isReadOnlyView(mounts, home) ? home : undefined;
}

export async function stage({ run }: Context, { device, type }: Volume): Promise<void> {
  await run(mountProgram, ['-t', type, '-o', homeOptions.join(','), device, staging]);
}

/** Unmounts the new file system and mounts it again, which drops its pages from the page cache. */
export async function stageAgain(context: Context, volume: Volume): Promise<void> {
  await context.run(umountProgram, [staging]);
  await stage(context, volume);
}
