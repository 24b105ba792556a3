import { parseConfig, words } from '../../config/config.ts';
import { pathOf } from '../../config/keys.ts';
import type { SystemReader } from '../../system/reader.ts';
import { linesOf } from '../engine/fstab.ts';
import { textBefore } from '../engine/part.ts';

/** The limit for configuration files, in bytes. */
export const limit = 1024 * 1024;

/** What a move changes in its configuration file. */
interface Named {
  kind: string;
  path: string;
  file: string;
  place: { fs: string };
}

/** Whether the configuration names the new place. */
export function isNamed(reader: SystemReader, move: Named): boolean {
  return isNamedIn(textBefore(reader, move.file, limit) ?? '', move);
}

/** Whether a text of the configuration file names the new place. */
export function isNamedIn(text: string, { kind, path, place }: Named): boolean {
  return kind === 'home'
    ? linesOf(text, path)[0]?.source === `UUID=${place.fs}`
    : itemsOf(text).some((each) => pathOf(each) === path);
}

/** Returns the items of PERSIST. @param text of the configuration file */
export function itemsOf(text: string): string[] {
  return words(parseConfig(text).config.PERSIST);
}
