import type { SystemWriter } from '../../system/writer.ts';
import type { SystemReader } from '../../system/reader.ts';
import { type Entry, backupFolder, readJournal, writeJournal } from './action-log.ts';
import type { Action } from './step.ts';

/**
 * Gives back every file as it was before `prepare` first touched it, the last one first. Nothing once the old content
 * of /home was to be removed: how far that came is not known here.
 * @param say a line for people
 * @returns whether all of them are as they were; one that somebody changed since stays as it is
 */
export function undo(reader: SystemReader, writer: SystemWriter, say: (text: string) => void): boolean {
  const entries = readJournal(reader);
  if (entries.length === 0) say('prepare has changed nothing here.');
  if (isPurged(entries)) {
    say(
      `The old content of /home was removed, or was about to be: without its line in /etc/fstab /home could be empty. Nothing is undone; the files as they were are in ${backupFolder}.`,
    );
    return false;
  }
  const left: Entry[] = [];
  for (const entry of entries.toReversed()) {
    const { text, kept } = undoOne(reader, writer, entry);
    if (kept) left.unshift(entry);
    say(text);
  }
  if (entries.length > 0) writeJournal(writer, left);
  return left.length === 0;
}

function isPurged(entries: readonly Entry[]): boolean {
  return entries.some(({ action }) => action.do === 'purge-home');
}

function undoOne(
  reader: SystemReader,
  writer: SystemWriter,
  { action, backup, ended }: Entry,
): { text: string; kept: boolean } {
  if (action.do === 'run' && action.makes !== undefined) return undoMade(reader, writer, action.makes, ended);
  if (!('file' in action)) return { text: `stays: ${lasting(action)}`, kept: false };
  const { file } = action;
  if (isAsBefore(reader, file, backup)) return { text: `${file} is as it was`, kept: false };
  if (!isAsDone(reader, action)) {
    const old = backup === null ? 'it was not there before' : `its old content is in ${backup}`;
    return { text: `${file} was changed since and stays; ${old}`, kept: true };
  }
  if (backup === null) writer.remove(file);
  else writer.copyInto(backup, file);
  return { text: `${file} is as it was${backup === null ? ': not there' : ''}`, kept: false };
}

/** Removes what a program made, but what was changed since, or by a run of which it is not known when it ended. */
function undoMade(
  reader: SystemReader,
  writer: SystemWriter,
  makes: readonly string[],
  ended: string | null,
): { text: string; kept: boolean } {
  const there = makes.flatMap((file) => {
    const stat = reader.stat(file);
    return stat === undefined ? [] : [{ file, modified: stat.modified }];
  });
  // The times of files have the clock's coarse ticks.
  const until = ended === null ? -Infinity : Date.parse(ended) + 1000;
  const [ours, others] = [
    there.filter(({ modified }) => modified <= until),
    there.filter(({ modified }) => modified > until),
  ].map((each) => each.map(({ file }) => file));
  for (const file of ours ?? []) writer.remove(file);
  const removed = `${makes[0] ?? ''} and what was made with it: not there, as it was`;
  if (others === undefined || others.length === 0) return { text: removed, kept: false };
  return { text: `${others.join(', ')}: changed since prepare made it, or not known, and stays`, kept: true };
}

/** What no backup gives back. */
function lasting(action: Exclude<Action, { file: string }>): string {
  switch (action.do) {
    case 'run':
      return `what ${[action.program, ...action.args].join(' ')} did`;
    case 'rename':
      return `the new ${action.to}`;
    case 'move-home':
      return `the copy of /home on ${action.disk}; what was written to it since is only there`;
    case 'purge-home':
      return 'what is left of the old /home';
  }
}

function isAsDone(reader: SystemReader, action: Extract<Action, { file: string }>): boolean {
  switch (action.do) {
    case 'edit':
      return contentOf(reader, action.file) === `file ${action.after}`;
    case 'link':
      return contentOf(reader, action.file) === `link ${action.to}`;
    case 'remove':
      return contentOf(reader, action.file) === '';
  }
}

function isAsBefore(reader: SystemReader, file: string, backup: string | null): boolean {
  return contentOf(reader, file) === (backup === null ? '' : contentOf(reader, backup));
}

/** Empty where nothing is there. */
function contentOf(reader: SystemReader, file: string): string {
  const kind = reader.stat(file)?.kind;
  if (kind === undefined) return '';
  return kind === 'link' ? `link ${reader.link(file)}` : `file ${reader.read(file)}`;
}
