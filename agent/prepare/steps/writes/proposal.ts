import { type Config, configFile, parseConfig, words } from '../../../config/config.ts';
import { isBelow } from '../../../facts/mounts/mountinfo.ts';
import type { SystemReader } from '../../../system/reader.ts';
import type { ActionOf } from '../../engine/context.ts';
import { textBefore } from '../../engine/part.ts';
import type { WriteGroup } from '../../engine/step.ts';
import { pathOf } from '../../../config/keys.ts';

/** Returns OVERLAY with the items of the groups, except for items that a configured path already contains. */
export function proposedOverlay(
  config: Pick<Config, 'OVERLAY' | 'PERSIST' | 'SCRATCH'>,
  groups: readonly Pick<WriteGroup, 'overlay'>[],
): string {
  const taken = [config.OVERLAY, config.PERSIST, config.SCRATCH].flatMap(words).map(pathOf);
  // A path that contains another one comes first, so that the other one is not added.
  const items = [...new Set(groups.flatMap(({ overlay }) => overlay))].toSorted();
  const added = items.filter((item) => {
    if (taken.some((each) => isBelow(pathOf(item), each))) return false;
    taken.push(pathOf(item));
    return true;
  });
  return [...words(config.OVERLAY), ...added].join(' ');
}

/** The paths that the boot refuses to overlay (agent/config/keys.ts), and those where an overlay is not advisable. */
const notProposed = ['/boot', '/dev', '/etc', '/home', '/proc', '/run', '/sys', '/tmp', '/var'];

/**
 * Whether an overlay is proposed for the directory of an unknown writer. Programs and configuration are read from /usr
 * and /etc by everything that starts, so an overlay there would be a foothold, and an administrator must decide.
 */
export function canOverlay(reader: SystemReader, directory: string): boolean {
  if (directory === '/' || notProposed.some((each) => isBelow(directory, each))) return false;
  if (isBelow(directory, '/usr') && !/^\/usr\/local\/./.test(directory)) return false;
  const { problems } = parseConfig(`OVERLAY=${directory}\n`);
  return problems.length === 0 && !/\s/.test(directory) && isDirectory(reader, directory);
}

/** Whether a path is a directory that is reached without a symbolic link. */
export function isDirectory(reader: SystemReader, directory: string): boolean {
  const parts = directory.split('/').slice(1);
  return parts.every(
    (_, index) => reader.stat(`/${parts.slice(0, index + 1).join('/')}`)?.kind === 'directory',
  );
}

type Values = Partial<Record<'OVERLAY' | 'MOUNT_OPTIONS' | 'PERSIST' | 'SCRATCH_DEVICE', string>>;

/**
 * Returns the change of the configuration file.
 * @param values the new values by key
 * @returns no action if there is nothing to change; or, as a text, why the file must be changed manually
 */
export function editConfig(reader: SystemReader, values: Values): ActionOf<'edit'>[] | string {
  return editConfigText(textBefore(reader, configFile, 65536), values);
}

/** Does the same for a text of the configuration file. @param before null: the file does not exist */
export function editConfigText(before: string | null, values: Values): ActionOf<'edit'>[] | string {
  const text = before ?? '';
  const problem = parseConfig(text).problems.find(({ key }) => Object.hasOwn(values, key));
  if (problem !== undefined) {
    return `${configFile}:${problem.line}: ${problem.key}: ${problem.reason}. Correct the line, and run prepare again`;
  }
  const after = Object.entries(values).reduce((now, [key, value]) => withLine(now, key, value), text);
  return after === text ? [] : [{ do: 'edit', file: configFile, before, after }];
}

/**
 * Replaces the line of a key, or adds one: below the line that is commented out, which is part of the delivered file, or
 * at the end.
 */
function withLine(text: string, key: string, value: string): string {
  const line = `${key}=${value}`;
  const present = new RegExp(`^[ \\t]*${key}=.*$`, 'm');
  if (present.test(text)) return text.replace(present, line);
  const commented = new RegExp(`^#${key}=.*$`, 'm');
  if (commented.test(text)) return text.replace(commented, (found) => `${found}\n${line}`);
  return `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${line}\n`;
}
