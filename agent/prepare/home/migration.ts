import type { Config } from '../../config/config.ts';
import type { Mount, MountTable } from '../../facts/mounts/mountinfo.ts';
import { requiredOptions } from '../../facts/mounts/targets.ts';
import { replaceLines } from '../engine/fstab.ts';
import type { Volume } from './inspect.ts';

/** The mount options of /home (docs/prepare-home.md), which permit no programs, devices or set-user-ID files. */
const homeOptions = ['rw', 'noexec', 'nodev', 'nosuid'];

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

/** Returns the mount on /home; undefined if there is none. */
export function homeMount(mounts: MountTable): Mount | undefined {
  const home = mounts.serving('/home');
  return home?.target === '/home' ? home : undefined;
}
