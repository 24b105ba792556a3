import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { SystemError, errorMessage, hasCode, unless } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { Tools } from './context.ts';
import { type Action, type StepId, stepIds } from './step.ts';

const actionLogFile = '/var/lib/immutafs/prepare.json';
export const backupFolder = '/var/lib/immutafs/backup';

/** The lock that --apply and --undo hold while they change the guest and its action log. */
export const lockFile = '/run/immutafs/prepare.lock';

/**
 * The lock for an image, in the image: a build may have bound the /run of the machine that builds into it, and two
 * images can be built at once.
 */
const imageLockFile = '/var/lib/immutafs/prepare.lock';

/** Takes the lock of the guest or of the image. @returns a function that releases it */
export function lockLog({ reader, writer }: Tools): () => void {
  return writer.lock(reader.image === undefined ? lockFile : imageLockFile);
}

/** The actions that `prepare` has carried out on this guest, the oldest first. */
export type ActionLog = readonly LoggedAction[];

export interface LoggedAction {
  /** Counts from 1; the number can be reused after --undo has removed the entry. */
  number: number;
  /** A UUID, which is never reused. */
  id: string;
  step: StepId;
  action: Action;
  /** ISO 8601 */
  began: string;
  /** ISO 8601; null if the action was interrupted or is still running. */
  ended: string | null;
  /** Why the action failed; null if it did not. */
  problem: string | null;
  /** The path of the backup of the action's file; null if the file did not exist, or the action has no file. */
  backup: string | null;
}

/** @throws SystemError if the file exists and is not an action log */
export function readActionLog(reader: SystemReader): LoggedAction[] {
  const text = unless(hasCode('ENOENT'), () => reader.read(actionLogFile));
  if (text === undefined) return [];
  try {
    const { schema, entries } = JSON.parse(text) as { schema: unknown; entries: LoggedAction[] };
    if (schema !== 1) throw new Error(`its schema is ${String(schema)}`);
    if (!entries.every(({ step }) => stepIds.includes(step))) throw new Error('an entry has no known step');
    return entries;
  } catch (error) {
    throw new SystemError(`${actionLogFile} was not written by prepare: ${errorMessage(error)}`);
  }
}

/**
 * Logs an action before it begins, and backs up its file.
 * @returns a function that logs the end of the action; its argument is the reason for a failure, or null. The function
 * throws a SystemError if the entry has disappeared.
 */
export function logAction(tools: Tools, step: StepId, action: Action): (problem: string | null) => void {
  const { reader } = tools;
  const log = readActionLog(reader);
  const backup = 'file' in action ? backUp(tools, action.file) : null;
  const number = (log.at(-1)?.number ?? 0) + 1;
  const began = reader.now().toISOString();
  const entry: LoggedAction = {
    ...{ number, id: randomUUID(), step, action },
    ...{ began, ended: null, problem: null, backup },
  };
  writeActionLog(tools, [...log, entry]);
  return (problem) => {
    const now = readActionLog(reader);
    const index = now.findIndex(({ id }) => id === entry.id);
    if (index === -1) {
      const how = problem === null ? 'it succeeded' : `it failed: ${problem}`;
      throw new SystemError(
        `${actionLogFile}: entry ${number} (${step}, ${action.do}) is gone, so its end cannot be recorded (${how}). Another program changed this file: compare /etc/fstab with the copies in ${backupFolder}`,
      );
    }
    writeActionLog(tools, now.with(index, { ...entry, ended: reader.now().toISOString(), problem }));
  };
}

/**
 * Changes the texts that logged edits of a file have of it, and their backups, like the file itself, so that --undo recognises the
 * file afterwards. To be called before the file is changed, and again after a power cut.
 * @param change has no effect on its own result
 */
export function changeLoggedTexts(tools: Tools, file: string, change: (text: string) => string): void {
  const { reader, writer } = tools;
  const log = readActionLog(reader);
  const changed = log.map((entry): LoggedAction => {
    const { action, backup } = entry;
    if (action.do !== 'edit' || action.file !== file) return entry;
    if (backup !== null && reader.stat(backup)?.kind === 'file') {
      const text = reader.read(backup);
      if (change(text) !== text) writer.replaceText(backup, change(text));
    }
    const before = action.before === null ? null : change(action.before);
    return { ...entry, action: { ...action, before, after: change(action.after) } };
  });
  if (!isDeepStrictEqual(changed, log)) writeActionLog(tools, changed);
}

/** Writes the action log. Texts with one character per byte are read back unchanged. */
export function writeActionLog({ writer }: Tools, log: ActionLog): void {
  writer.makeDirectory(backupFolder, 0o700);
  writer.replaceText(actionLogFile, asciiJson({ schema: 1, entries: log }), 0o600);
}

/** Formats a value as JSON of ASCII characters. */
export function asciiJson(value: object): string {
  const escape = (char: string) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return `${JSON.stringify(value, null, 1).replace(/[^ -~\n]/g, escape)}\n`;
}

/**
 * Copies a file into the backup folder, under an unused name.
 * @returns the path of the copy; null if there is no file
 */
function backUp({ reader, writer }: Tools, file: string): string | null {
  if (reader.stat(file) === undefined) return null;
  writer.makeDirectory(backupFolder, 0o700);
  const taken = new Set(reader.list(backupFolder));
  const name = file.slice(1).replaceAll('/', '-');
  let number = 1;
  while (taken.has(`${name}.${number}`)) number += 1;
  const backup = path.join(backupFolder, `${name}.${number}`);
  writer.copyInto(file, backup);
  return backup;
}
