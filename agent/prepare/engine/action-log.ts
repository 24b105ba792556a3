import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { HostError, errorCode, errorMessage } from '../../lib/errors.ts';
import type { SystemWriter } from '../../system/writer.ts';
import type { SystemReader } from '../../system/reader.ts';
import { type Action, type StepId, stepIds } from './step.ts';

export const journalFile = '/var/lib/immutafs/prepare.json';
export const backupFolder = '/var/lib/immutafs/backup';

/** One action, written before it begins and again when it has ended. */
export interface Entry {
  /** From 1 on; used again for another entry once --undo has removed this one. */
  number: number;
  /** A UUID: no other entry ever has it. Entries of earlier versions have none. */
  id?: string;
  step: StepId;
  action: Action;
  /** ISO 8601 */
  began: string;
  /** null: it was interrupted, or is at work now. */
  ended: string | null;
  /** Why it did not succeed. */
  problem: string | null;
  /** The copy of what was at the action's file; null where nothing was there, or the action has no file. */
  backup: string | null;
}

/** What `prepare` did to this guest, the oldest first; without a file nothing. @throws HostError for another content */
export function readJournal(reader: SystemReader): Entry[] {
  let text: string;
  try {
    text = reader.read(journalFile);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
  try {
    const { schema, entries } = JSON.parse(text) as { schema: unknown; entries: Entry[] };
    if (schema !== 1) throw new Error(`its schema is ${String(schema)}`);
    if (!entries.every(({ step }) => stepIds.includes(step))) throw new Error('an entry of no step');
    return entries;
  } catch (error) {
    throw new HostError(`${journalFile} is not what prepare wrote: ${errorMessage(error)}`);
  }
}

/**
 * Notes an action before it is done, with a backup of what is at its file.
 * @returns notes how it ended: null, or why it did not succeed. It throws a HostError where the entry is gone.
 */
export function beginEntry(
  reader: SystemReader,
  writer: SystemWriter,
  step: StepId,
  action: Action,
): (problem: string | null) => void {
  const entries = readJournal(reader);
  const backup = 'file' in action ? backUp(reader, writer, action.file) : null;
  const number = (entries.at(-1)?.number ?? 0) + 1;
  const began = reader.now().toISOString();
  const entry: Entry = { number, id: randomUUID(), step, action, began, ended: null, problem: null, backup };
  writeJournal(writer, [...entries, entry]);
  return (problem) => {
    // This action may have added entries of its own.
    const now = readJournal(reader);
    const index = now.findIndex(({ id }) => id === entry.id);
    if (index === -1) {
      const how = problem === null ? 'it succeeded' : `it failed: ${problem}`;
      throw new HostError(
        `${journalFile}: entry ${number} (${step}, ${action.do}) is gone, so its end cannot be recorded (${how}). Another program changed this file: compare /etc/fstab with the copies in ${backupFolder}`,
      );
    }
    writeJournal(writer, now.with(index, { ...entry, ended: reader.now().toISOString(), problem }));
  };
}

/** ASCII only, so that texts of one character a byte come back as they were. */
export function writeJournal(writer: SystemWriter, entries: readonly Entry[]): void {
  const text = JSON.stringify({ schema: 1, entries }, null, 1).replace(
    /[^ -~\n]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  writer.makeFolder(backupFolder, 0o700);
  writer.replaceText(journalFile, `${text}\n`, 0o600);
}

/** A copy under a name of its own. @returns null where nothing is there */
function backUp(reader: SystemReader, writer: SystemWriter, file: string): string | null {
  if (reader.stat(file) === undefined) return null;
  writer.makeFolder(backupFolder, 0o700);
  const taken = new Set(reader.list(backupFolder));
  const name = file.slice(1).replaceAll('/', '-');
  let number = 1;
  while (taken.has(`${name}.${number}`)) number += 1;
  const backup = path.join(backupFolder, `${name}.${number}`);
  writer.copyInto(file, backup);
  return backup;
}
