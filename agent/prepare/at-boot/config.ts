import { configFile } from '../../config/config.ts';
import { pathOf } from '../../config/keys.ts';
import { SystemError } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import { linesOf, replaceLines } from '../engine/fstab.ts';
import type { Tools } from '../engine/context.ts';
import { textBefore } from '../engine/part.ts';
import { withHome } from '../home/migration.ts';
import { editConfig } from '../steps/writes/proposal.ts';
import { isNamed, itemsOf, limit } from '../move/named.ts';
import type { Move } from '../move/record.ts';

/*
 * The line of the configuration that makes a boot use the new place: an item of PERSIST, or the line of /home in fstab.
 */

export const fileOf = (kind: Move['kind']): string => (kind === 'home' ? '/etc/fstab' : configFile);

/** Names the new place in the configuration. @param save writes the record, before the file is changed */
export function nameNewPlace({ reader, writer }: Tools, move: Move, save: () => void): void {
  if (isNamed(reader, move)) return;
  const before = textBefore(reader, move.file, limit);
  const after =
    move.kind === 'home'
      ? withHome(before ?? '', { uuid: move.place.fs, type: move.type })
      : edited(reader, [...itemsOf(before ?? ''), move.item]);
  Object.assign(move, { before, after });
  save();
  writer.replaceText(move.file, after);
}

/** Restores the configuration, or takes out the new place if the file was changed since. */
export function nameOldPlace({ reader, writer }: Tools, move: Move): void {
  const { file, path, before, after, kind } = move;
  if (!isNamed(reader, move)) return;
  const now = textBefore(reader, file, limit) ?? '';
  if (now === after && before !== null) writer.replaceText(file, before);
  else if (kind === 'home') writer.replaceText(file, withoutHome(now, before ?? ''));
  else
    writer.replaceText(
      file,
      edited(
        reader,
        itemsOf(now).filter((each) => pathOf(each) !== path),
      ),
    );
}

/** Returns the configuration file with other items in PERSIST. @throws SystemError if it must be changed manually */
function edited(reader: SystemReader, items: readonly string[]): string {
  const edits = editConfig(reader, { PERSIST: items.join(' ') });
  if (typeof edits === 'string') throw new SystemError(edits);
  return edits[0]?.after ?? textBefore(reader, configFile, limit) ?? '';
}

/** Returns fstab with the lines that an earlier text has for /home, instead of those that it has now. */
function withoutHome(now: string, before: string): string {
  const old = linesOf(before, '/home').map(({ line }) => before.split('\n')[line - 1] ?? '');
  const [first] = linesOf(now, '/home');
  if (old.length > 0) return replaceLines(now, '/home', old.join('\n'));
  return now
    .split('\n')
    .filter((_, index) => index + 1 !== first?.line)
    .join('\n');
}
