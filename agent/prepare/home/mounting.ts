import type { Mount, MountTable } from '../../facts/mounts/mountinfo.ts';
import type { Context } from '../engine/context.ts';
import { isReadOnlyView, mountProgram, staging, umountProgram } from '../move/mounting.ts';

/** The mount options of /home (docs/prepare-home.md), which permit no programs, devices or set-user-ID files. */
export const homeOptions = ['rw', 'noexec', 'nodev', 'nosuid'];

/** Returns the mount on /home; undefined if there is none, or only the read-only view of a move. */
export function homeMount(mounts: MountTable): Mount | undefined {
  const home = mounts.serving('/home');
  return home?.target === '/home' && !isReadOnlyView(mounts, home) ? home : undefined;
}

/** Mounts the new file system for copying. */
export async function stage(
  context: Context,
  { device, type }: { device: string; type: string },
): Promise<void> {
  await context.run(mountProgram, ['-t', type, '-o', homeOptions.join(','), device, staging]);
}

/** Unmounts the new file system and mounts it again, which drops its pages from the page cache. */
export async function stageAgain(context: Context, volume: { device: string; type: string }): Promise<void> {
  await context.run(umountProgram, [staging]);
  await stage(context, volume);
}
