import { SystemError } from '../../lib/errors.ts';
import type { SystemWriter } from '../../system/writer.ts';
import type { SystemReader } from '../../system/reader.ts';
import {
  type ActionLog,
  type LoggedAction,
  backupFolder,
  imageLockFile,
  lockFile,
  readActionLog,
  writeActionLog,
} from './action-log.ts';
import { type ActionOf, type Executors, type Printer, withContext } from './context.ts';
import type { Action } from './step.ts';

type FileAction = Extract<Action, { file: string }>;

/**
 * Restores every file that `prepare` changed, the last change first. If --purge-old-home has begun, nothing is
 * restored, because it is unknown how much of the old /home still exists.
 * @param executors revert the actions that are not reverted by restoring a file
 * @returns whether every file was restored; a file that was changed after `prepare` is not restored
 */
export async function undo(
  executors: Executors,
  reader: SystemReader,
  writer: SystemWriter,
  printer: Printer,
): Promise<boolean> {
  const unlock = writer.lock(reader.image === undefined ? lockFile : imageLockFile);
  try {
    return await undoLocked(executors, reader, writer, printer);
  } finally {
    unlock();
  }
}

async function undoLocked(
  executors: Executors,
  reader: SystemReader,
  writer: SystemWriter,
  printer: Printer,
): Promise<boolean> {
  const { say } = printer;
  const log = readActionLog(reader);
  if (log.length === 0) say('Nothing to undo: prepare has changed nothing.');
  if (isPurged(log)) {
    say(
      `Nothing is undone, because --purge-old-home has begun to remove the old /home: without its line in /etc/fstab, /home could be empty. The original files are in ${backupFolder}.`,
    );
    return false;
  }
  const kept: LoggedAction[] = [];
  for (const entry of log.toReversed()) {
    const reverted = await revert(executors, reader, writer, printer, entry.action);
    const { text, isKept } = reverted ?? undoOne(reader, writer, entry);
    if (isKept) kept.unshift(entry);
    if (text !== undefined) say(text);
  }
  if (log.length > 0) writeActionLog(writer, kept);
  return kept.length === 0;
}

function isPurged(log: ActionLog): boolean {
  return log.some(({ action }) => action.do === 'purge-home');
}

/** Reverts an action by its executor; undefined if the executor cannot. */
async function revert<Kind extends Action['do']>(
  executors: Executors,
  reader: SystemReader,
  writer: SystemWriter,
  printer: Printer,
  action: ActionOf<Kind>,
): Promise<Undone | undefined> {
  const own = executors[action.do].revert;
  if (own === undefined) return undefined;
  let text = '';
  try {
    await withContext(reader, writer, printer, async (context) => {
      text = await own(context, action);
    });
    return { text, isKept: false };
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return { text: `not undone: ${error.message}`, isKept: true };
  }
}

interface Undone {
  text: string | undefined;
  /** Whether the entry stays in the action log. */
  isKept: boolean;
}

function undoOne(
  reader: SystemReader,
  writer: SystemWriter,
  { action, backup, ended }: LoggedAction,
): Undone {
  if (action.do === 'run' && action.makes !== undefined) return undoMade(reader, writer, action.makes, ended);
  if (!('file' in action)) {
    const lasting = whatRemains(action);
    return { text: lasting === undefined ? undefined : `not undone: ${lasting}`, isKept: false };
  }
  const { file } = action;
  if (isAsBefore(reader, file, backup))
    return { text: `${file}: already has its original content`, isKept: false };
  if (!isAsAfter(reader, action)) {
    const old = backup === null ? 'it did not exist before' : `its old content is in ${backup}`;
    return { text: `${file}: kept, because it was changed after prepare; ${old}`, isKept: true };
  }
  if (backup === null) writer.remove(file);
  else writer.copyInto(backup, file);
  return {
    text: `${file}: ${backup === null ? 'removed, because it did not exist before' : 'restored'}`,
    isKept: false,
  };
}

/**
 * Removes the files that a program created, except files that were changed since. If the end of the run is unknown,
 * every file counts as changed.
 */
function undoMade(
  reader: SystemReader,
  writer: SystemWriter,
  makes: readonly string[],
  ended: string | null,
): Undone {
  const there = makes.flatMap((file) => {
    const stat = reader.stat(file);
    return stat === undefined ? [] : [{ file, modified: stat.modified }];
  });
  // One second of tolerance, because file times have only the resolution of the kernel's tick.
  const until = ended === null ? -Infinity : Date.parse(ended) + 1000;
  const changed = there.filter(({ modified }) => modified > until).map(({ file }) => file);
  for (const { file } of there) if (!changed.includes(file)) writer.remove(file);
  if (changed.length > 0) {
    return {
      text: `${changed.join(', ')}: kept, because it was changed after prepare created it, or the time of creation is unknown`,
      isKept: true,
    };
  }
  return {
    text: `${makes.join(', ')}: removed, because prepare created ${makes.length === 1 ? 'it' : 'them'}`,
    isKept: false,
  };
}

/** Describes the result of an action that --undo cannot revert; undefined if there is none. */
function whatRemains(action: Exclude<Action, FileAction>): string | undefined {
  switch (action.do) {
    case 'run':
      return `what ${[action.program, ...action.args].join(' ')} did${action.revert === undefined ? '' : `; ${action.revert}`}`;
    case 'erase':
      return `the removal of ${action.files.join(', ')}, of which no copy was kept: a guest makes new ones`;
    case 'rename':
      return `the new ${action.to}`;
    case 'partition-home':
      return `the partition on ${action.disk}`;
    case 'format-home':
      return `the file system on ${action.disk}`;
    case 'copy-home':
      return `the copy of /home on ${action.disk}; files written to /home after the move are only there`;
    case 'purge-home':
      return 'the rest of the old /home';
    case 'verify-home':
    case 'clear-home-marker':
    case 'copy-state':
    case 'verify-state':
    case 'clear-state':
    case 'purge-state':
      return undefined;
  }
}

/** Whether the file still has the content that the action gave it. */
function isAsAfter(reader: SystemReader, action: FileAction): boolean {
  switch (action.do) {
    case 'edit':
    case 'cutover-home':
    case 'switch-state':
      return contentOf(reader, action.file) === `file ${action.after ?? ''}`;
    case 'link':
      return contentOf(reader, action.file) === `link ${action.to}`;
    case 'remove':
      return contentOf(reader, action.file) === '';
  }
}

function isAsBefore(reader: SystemReader, file: string, backup: string | null): boolean {
  return contentOf(reader, file) === (backup === null ? '' : contentOf(reader, backup));
}

/** Returns the kind of a file with its content or link target; an empty text if there is no file. */
function contentOf(reader: SystemReader, file: string): string {
  const kind = reader.stat(file)?.kind;
  if (kind === undefined) return '';
  return kind === 'link' ? `link ${reader.link(file)}` : `file ${reader.read(file)}`;
}
