import { SystemError } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import { type LoggedAction, backupFolder, readActionLog, writeActionLog } from './action-log.ts';
import type { ActionOf, Tools } from './context.ts';
import type { Action } from './step.ts';

type FileAction = Extract<Action, { file: string }>;

interface Undone {
  text: string | undefined;
  isKept: boolean;
  isFailed?: boolean;
}

const undone = (text: string | undefined): Undone => ({ text, isKept: false });
const kept = (text: string): Undone => ({ text, isKept: true });

/**
 * Restores every file that `prepare` changed, the last change first. The caller holds the lock.
 * @returns whether every file was restored; a file that was changed after `prepare` is not restored
 */
export function undo(tools: Tools): boolean {
  const log = readActionLog(tools.reader);
  if (log.length === 0) tools.say('Nothing to undo: prepare has changed nothing.');
  let rest: readonly LoggedAction[] = log;
  const [restored, failed] = [new Set<string>(), new Set<string>()];
  for (const entry of log.toReversed()) {
    const { action } = entry;
    // Otherwise, after an interruption, a later change of the file would count as one that was made after prepare.
    if ('file' in action && restored.has(action.file)) {
      writeActionLog(tools, rest);
      restored.clear();
    }
    // An earlier change of a file that could not be restored is undone together with the later ones.
    if ('file' in action && failed.has(action.file)) continue;
    const { text, isKept, isFailed = false } = undoOrKeep(tools, entry);
    if ('file' in action && isFailed) failed.add(action.file);
    if (!isKept) rest = rest.filter((each) => each !== entry);
    if ('file' in action) restored.add(action.file);
    if (text !== undefined) tools.say(text);
  }
  if (log.length > 0) writeActionLog(tools, rest);
  if (rest.length > 0)
    tools.say(
      `${rest.length} of ${log.length} changes are not undone. The original files are in ${backupFolder}, which is not removed with the package. Resolve the causes above, and run prepare --undo again.`,
    );
  return rest.length === 0;
}

/** Undoes a change. Keeps it if the system refuses, for example because the file is immutable (chattr(1)). */
function undoOrKeep(tools: Tools, entry: LoggedAction): Undone {
  try {
    return undoOne(tools, entry);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return { ...kept(`not restored: ${error.message}`), isFailed: true };
  }
}

function undoOne(tools: Tools, { action, backup, ended }: LoggedAction): Undone {
  const { reader, writer } = tools;
  if (action.do === 'run' && action.makes !== undefined) return undoMade(tools, action.makes, ended);
  if (!('file' in action)) {
    const lasting = whatRemains(action);
    return undone(lasting === undefined ? undefined : `not undone: ${lasting}`);
  }
  const { file } = action;
  const now = contentOf(reader, file);
  if (now === (backup === null ? '' : contentOf(reader, backup)))
    return undone(`${file}: already has its original content`);
  if (now !== contentAfter(action)) {
    const old = backup === null ? 'it did not exist before' : `its old content is in ${backup}`;
    return kept(`${file}: kept, because it was changed after prepare; ${old}`);
  }
  if (backup === null) writer.remove(file);
  else writer.copyInto(backup, file);
  return undone(`${file}: ${backup === null ? 'removed, because it did not exist before' : 'restored'}`);
}

/**
 * Removes the files that a program created, except files that were changed since. If the end of the run is unknown,
 * every file counts as changed.
 */
function undoMade({ reader, writer }: Tools, makes: readonly string[], ended: string | null): Undone {
  // One second of tolerance, because file times have only the resolution of the kernel's tick.
  const until = ended === null ? -Infinity : Date.parse(ended) + 1000;
  const there = makes.flatMap((file) => {
    const stat = reader.stat(file);
    return stat === undefined ? [] : [{ file, isChanged: stat.modified > until }];
  });
  const { changed = [], own = [] } = Object.groupBy(there, ({ isChanged }) =>
    isChanged ? 'changed' : 'own',
  );
  for (const { file } of own) writer.remove(file);
  if (changed.length > 0)
    return kept(
      `${changed.map(({ file }) => file).join(', ')}: kept, because it was changed after prepare created it, or the time of creation is unknown`,
    );
  return undone(
    `${makes.join(', ')}: removed, because prepare created ${makes.length === 1 ? 'it' : 'them'}`,
  );
}

/** The results of the actions that --undo cannot revert. */
const results: { readonly [Kind in Action['do']]?: (action: ActionOf<Kind>) => string } = {
  run: ({ program, args, revert: how }) =>
    `what ${[program, ...args].join(' ')} did${how === undefined ? '' : `; ${how}`}`,
  erase: ({ files }) =>
    `the removal of ${files.join(', ')}, of which no copy was kept: a guest makes new ones`,
  rename: ({ to }) => `the new ${to}`,
  'partition-home': ({ disk }) => `the partition on ${disk}`,
  'format-home': ({ disk }) => `the file system on ${disk}`,
};

function whatRemains<Kind extends Action['do']>(action: ActionOf<Kind>): string | undefined {
  return results[action.do]?.(action);
}

/** Returns what an action left in its file, as `contentOf` describes it. */
function contentAfter(action: FileAction): string {
  if (action.do === 'remove') return '';
  return action.do === 'link' ? `link ${action.to}` : `file ${action.after}`;
}

/** Returns the kind of a file with its content or link target; an empty text if there is no file. */
function contentOf(reader: SystemReader, file: string): string {
  const kind = reader.stat(file)?.kind;
  if (kind === undefined) return '';
  return kind === 'link' ? `link ${reader.link(file)}` : `file ${reader.read(file)}`;
}
