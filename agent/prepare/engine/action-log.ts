import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { HostError, errorCode, errorMessage } from '../../lib/errors.ts';
import type { SystemWriter } from '../../system/writer.ts';
import type { SystemReader } from '../../system/reader.ts';
import { type Action, type StepId, stepIds } from './step.ts';

export const actionLogFile = '/var/lib/immutafs/prepare.json';
export const backupFolder = '/var/lib/immutafs/backup';

/** Held by everything that changes this guest and its action log: --apply and --undo. */
export const lockFile = '/run/immutafs/prepare.lock';

/** What `prepare` changed on this guest, the oldest action first. */
export type ActionLog = readonly LoggedAction[];

/** One action, written before it begins and again when it has ended. */
export interface LoggedAction {
  /** From 1 on; used again after --undo has removed the entry. */
  number: number;
  /** A UUID, never used again. Entries of earlier versions have none. */
  id?: string;
  step: StepId;
  action: Action | FormerAction;
  /** ISO 8601 */
  began: string;
  /** null: it was interrupted, or is running now. */
  ended: string | null;
  /** Why it failed. */
  problem: string | null;
  /** The copy of the action's file; null if there was no file, or the action has none. */
  backup: string | null;
}

/**
 * Only in logs of earlier versions: the whole migration of /home as one action. Its edit of /etc/fstab is an entry of its
 * own, an `edit`.
 */
export interface FormerAction {
  do: 'move-home';
  disk: string;
  wipe: boolean;
}

/** @returns an empty log without a file @throws HostError if the file has another content */
export function readActionLog(reader: SystemReader): LoggedAction[] {
  let text: string;
  try {
    text = reader.read(actionLogFile);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
  try {
    const { schema, entries } = JSON.parse(text) as { schema: unknown; entries: LoggedAction[] };
    if (schema !== 1) throw new Error(`its schema is ${String(schema)}`);
    if (!entries.every(({ step }) => stepIds.includes(step))) throw new Error('an entry has no known step');
    return entries;
  } catch (error) {
    throw new HostError(`${actionLogFile} was not written by prepare: ${errorMessage(error)}`);
  }
}

/**
 * Logs an action before it begins, and makes a backup of its file.
 * @returns logs its end: null, or why it failed. It throws a HostError if the entry has disappeared.
 */
export function logAction(
  reader: SystemReader,
  writer: SystemWriter,
  step: StepId,
  action: Action,
): (problem: string | null) => void {
  const log = readActionLog(reader);
  const backup = 'file' in action ? backUp(reader, writer, action.file) : null;
  const number = (log.at(-1)?.number ?? 0) + 1;
  const began = reader.now().toISOString();
  const entry: LoggedAction = {
    ...{ number, id: randomUUID(), step, action },
    ...{ began, ended: null, problem: null, backup },
  };
  writeActionLog(writer, [...log, entry]);
  return (problem) => {
    const now = readActionLog(reader);
    const index = now.findIndex(({ id }) => id === entry.id);
    if (index === -1) {
      const how = problem === null ? 'it succeeded' : `it failed: ${problem}`;
      throw new HostError(
        `${actionLogFile}: entry ${number} (${step}, ${action.do}) is gone, so its end cannot be recorded (${how}). Another program changed this file: compare /etc/fstab with the copies in ${backupFolder}`,
      );
    }
    writeActionLog(writer, now.with(index, { ...entry, ended: reader.now().toISOString(), problem }));
  };
}

/** ASCII only, so that texts of one character a byte are read back unchanged. */
export function writeActionLog(writer: SystemWriter, log: ActionLog): void {
  const text = JSON.stringify({ schema: 1, entries: log }, null, 1).replace(
    /[^ -~\n]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  writer.makeFolder(backupFolder, 0o700);
  writer.replaceText(actionLogFile, `${text}\n`, 0o600);
}

/** Copies a file under a name that is not in use. @returns null if there is no file */
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
