import { SystemError } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import { type LoggedAction, backupFolder, lockLog, readActionLog, writeActionLog } from './action-log.ts';
import { type ActionOf, type Executors, type Tools, withContext } from './context.ts';
import type { Action } from './step.ts';

type FileAction = Extract<Action, { file: string }>;

interface Undone {
  text: string | undefined;
  isKept: boolean;
}

const undone = (text: string | undefined): Undone => ({ text, isKept: false });
const kept = (text: string): Undone => ({ text, isKept: true });

/**
 * Restores every file that `prepare` changed, the last change first. If --purge-old-home has begun, nothing is
 * restored, because it is unknown how much of the old /home still exists.
 * @param executors revert the actions that are not reverted by restoring a file
 * @returns whether every file was restored; a file that was changed after `prepare` is not restored
 */
export async function undo(executors: Executors, tools: Tools): Promise<boolean> {
  const unlock = lockLog(tools);
  try {
    return await undoLocked(executors, tools);
  } finally {
    unlock();
  }
}

async function undoLocked(executors: Executors, tools: Tools): Promise<boolean> {
  const log = readActionLog(tools.reader);
  if (log.length === 0) tools.say('Nothing to undo: prepare has changed nothing.');
  if (log.some(({ action }) => action.do === 'purge-home')) {
    tools.say(
      `Nothing is undone, because --purge-old-home has begun to remove the old /home: without its line in /etc/fstab, /home could be empty. The original files are in ${backupFolder}.`,
    );
    return false;
  }
  const rest: LoggedAction[] = [];
  for (const entry of log.toReversed()) {
    const { text, isKept } = (await revert(executors, tools, entry.action)) ?? undoOne(tools, entry);
    if (isKept) rest.unshift(entry);
    if (text !== undefined) tools.say(text);
  }
  if (log.length > 0) writeActionLog(tools, rest);
  if (rest.length > 0)
    tools.say(
      `${rest.length} of ${log.length} changes are not undone. The original files are in ${backupFolder}, which is not removed with the package. Resolve the causes above, and run prepare --undo again.`,
    );
  return rest.length === 0;
}

/** Reverts an action by its executor; undefined if the executor cannot. */
async function revert<Kind extends Action['do']>(
  executors: Executors,
  tools: Tools,
  action: ActionOf<Kind>,
): Promise<Undone | undefined> {
  const own = executors[action.do].revert;
  if (own === undefined) return undefined;
  try {
    return undone(await withContext(tools, (context) => own(context, action)));
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return kept(`not undone: ${error.message}`);
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
  'copy-home': ({ disk }) =>
    `the copy of /home on ${disk}; files written to /home after the move are only there`,
};

function whatRemains<Kind extends Action['do']>(action: ActionOf<Kind>): string | undefined {
  return results[action.do]?.(action);
}

/** Returns what an action left in its file, as `contentOf` describes it. */
function contentAfter(action: FileAction): string {
  if (action.do === 'remove') return '';
  return action.do === 'link' ? `link ${action.to}` : `file ${action.after ?? ''}`;
}

/** Returns the kind of a file with its content or link target; an empty text if there is no file. */
function contentOf(reader: SystemReader, file: string): string {
  const kind = reader.stat(file)?.kind;
  if (kind === undefined) return '';
  return kind === 'link' ? `link ${reader.link(file)}` : `file ${reader.read(file)}`;
}
