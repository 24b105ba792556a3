import { configFile } from '../../config/config.ts';
import { pathOf } from '../../config/keys.ts';
import { SystemError, unlessSystemError } from '../../lib/errors.ts';
import { changeLoggedTexts } from '../engine/action-log.ts';
import { linesOf, replaceLines } from '../engine/fstab.ts';
import type { Tools } from '../engine/context.ts';
import { textBefore } from '../engine/part.ts';
import { withHome } from '../home/migration.ts';
import { editConfigText } from '../steps/writes/proposal.ts';
import { isNamed, isNamedIn, itemsOf, limit } from '../move/named.ts';
import type { Move } from '../move/record.ts';

/*
 * The line of the configuration that makes a boot use the new place: an item of PERSIST, or the line of /home in fstab.
 */

/** A move with what else is changed with its configuration file. */
export interface MoveInRecord {
  move: Move;
  /** The other moves of the record. */
  others: readonly Move[];
  /** Writes the record. */
  save: () => void;
}

export const fileOf = (kind: Move['kind']): string => (kind === 'home' ? '/etc/fstab' : configFile);

/** Names the new place in the configuration. @param save writes the record, before the file is changed */
export function nameNewPlace({ reader, writer }: Tools, move: Move, save: () => void): void {
  if (isNamed(reader, move)) return;
  const before = textBefore(reader, move.file, limit);
  const after =
    move.kind === 'home'
      ? withHome(before ?? '', { uuid: move.place.fs, type: move.type })
      : withItems(before, [...itemsOf(before ?? ''), move.item]);
  Object.assign(move, { before, after });
  save();
  writer.replaceText(move.file, after);
}

/**
 * Restores the configuration, or takes out the new place if the file was changed since. Does the same with what prepare has recorded
 * of the file since the move, so that `prepare --undo` restores the file from the change of another program only. The file is
 * changed last: until then, a repetition completes this.
 */
export function nameOldPlace(tools: Tools, { move, others, save }: MoveInRecord): void {
  const { reader, writer } = tools;
  const { file } = move;
  if (!isNamed(reader, move)) return;
  const text = withOldPlace(move, textBefore(reader, file, limit) ?? '');
  const change = (each: string) => unlessSystemError(() => withOldPlace(move, each)) ?? each;
  changeLoggedTexts(tools, file, change);
  const changed = others.filter((each) => each.file === file && changeTexts(each, change));
  if (changed.length > 0) save();
  writer.replaceText(file, text);
}

/** Changes the texts that a move has of its configuration file. @returns whether they were changed */
function changeTexts(move: Move, change: (text: string) => string): boolean {
  const { before, after } = move;
  if (before !== null) move.before = change(before);
  if (after !== null) move.after = change(after);
  return move.before !== before || move.after !== after;
}

/** Returns a text of the configuration file without the new place. @throws SystemError if it must be changed manually */
function withOldPlace(move: Move, text: string): string {
  const { before, after, kind, path } = move;
  if (!isNamedIn(text, move)) return text;
  if (text === after && before !== null) return before;
  if (kind === 'home') return withoutHome(text, before ?? '');
  return withItems(
    text,
    itemsOf(text).filter((each) => pathOf(each) !== path),
  );
}

/** Returns the configuration file with other items in PERSIST. @throws SystemError if it must be changed manually */
function withItems(text: string | null, items: readonly string[]): string {
  const edits = editConfigText(text, { PERSIST: items.join(' ') });
  if (typeof edits === 'string') throw new SystemError(edits);
  return edits[0]?.after ?? text ?? '';
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
