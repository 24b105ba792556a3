import { parseConfig, words } from '../../config/config.ts';
import { pathOf } from '../../config/keys.ts';
import type { SystemReader } from '../../system/reader.ts';
import { linesOf } from '../engine/fstab.ts';
import { textBefore } from '../engine/part.ts';

/** The limit for configuration files, in bytes. */
export const limit = 1024 * 1024;

/** Whether the configuration names the new place. */
export function isNamed(
  reader: SystemReader,
  { kind, path, file, place }: { kind: string; path: string; file: string; place: { fs: string } },
): boolean {
  const text = textBefore(reader, file, limit) ?? '';
  return kind === 'home'
    ? linesOf(text, path)[0]?.source === `UUID=${place.fs}`
    : itemsOf(text).some((each) => pathOf(each) === path);
}

/** Returns the items of PERSIST. @param text of the configuration file */
export function itemsOf(text: string): string[] {
  return words(parseConfig(text).config.PERSIST);
}
