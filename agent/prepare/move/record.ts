import {
  type InferOutput,
  array,
  boolean,
  literal,
  nullable,
  number,
  object,
  picklist,
  string,
} from 'valibot';
import { errorMessage, SystemError } from '../../lib/errors.ts';
import { parseRecord } from '../../lib/json-record.ts';
import { nameInStore } from '../../facts/boot/kept-paths.ts';
import { moveMarker, movesFile, rehearsalMarker } from '../../facts/boot/moves.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { Tools } from '../engine/context.ts';
import { asciiJson, backupFolder } from '../engine/action-log.ts';

/** A directory, or a file system that only a move uses. */
const directory = object({
  /** The UUID of its file system. */
  fs: string(),
  /** Its inode number; null before it exists, and for the root of a file system. */
  inode: nullable(number()),
});

const move = object({
  id: string(),
  kind: picklist(['state', 'home']),
  path: string(),
  /** The item of PERSIST, and PERSIST_STORE; empty for /home. */
  item: string(),
  store: string(),
  /** The type of the new file system of /home; empty for state. */
  type: string(),
  /** The directory on the system disk, and its owner. `volume`: /home is a file system of its own, by its source in fstab. */
  origin: object({ ...directory.entries, uid: number(), gid: number(), volume: nullable(string()) }),
  /** The new place. */
  place: directory,
  /** The configuration file that names the new place, before and after the move; null if it does not exist, or is not changed yet. */
  file: string(),
  before: nullable(string()),
  after: nullable(string()),
  /** A hash of the state of every file on the system disk (TreeState) when it was compared with the new place. */
  content: nullable(string()),
  /** How far it is (move.ts, return.ts). */
  phase: picklist(['planned', 'copying', 'switching', 'moved', 'returning', 'restoring']),
  /** What the next maintenance boot does. */
  task: nullable(picklist(['move', 'purge', 'return'])),
  /** When the last task ended, ISO 8601; and why it failed. */
  at: nullable(string()),
  problem: nullable(string()),
  /** Whether the removal of the old content has begun. */
  purged: boolean(),
});

const schema = object({
  schema: literal(1),
  moves: array(move),
  /** Whether the next maintenance boot rotates logs (--clean-var). */
  cleanVar: boolean(),
  /** Whether it restores all files that prepare has changed, when everything has been moved back (--undo). */
  restoreFiles: boolean(),
  /** The time limit of the rehearsal that follows, in seconds; null for none. */
  rehearse: nullable(number()),
});

/** One moved directory. Texts have one character per byte. */
export type Move = InferOutput<typeof move>;
export type Moves = InferOutput<typeof schema>;

/** @throws SystemError if the file exists and is not a record of moves */
export function readMoves(reader: SystemReader): Moves {
  const text = reader.image === undefined ? reader.readRecord(movesFile, 'root') : undefined;
  if (text === undefined)
    return { schema: 1, moves: [], cleanVar: false, restoreFiles: false, rehearse: null };
  try {
    return parseRecord(schema, text, movesFile);
  } catch (error) {
    throw new SystemError(`${errorMessage(error)}: prepare has not written this file`);
  }
}

/** Writes the record. The file is removed when it says nothing. */
export function writeMoves({ reader, writer }: Pick<Tools, 'reader' | 'writer'>, moves: Moves): void {
  if (moves.moves.length === 0 && !hasTasks(moves)) {
    if (reader.stat(movesFile) !== undefined) writer.remove(movesFile);
    return;
  }
  writer.makeDirectory(backupFolder, 0o700);
  writer.replaceText(movesFile, asciiJson(moves), 0o600);
}

export function hasTasks({ moves, cleanVar, restoreFiles }: Moves): boolean {
  return cleanVar || restoreFiles || moves.some(({ task }) => task !== null);
}

/** Records tasks, and makes the next maintenance boot carry them out. A rehearsal that was requested follows that boot. */
export function planTasks(tools: Pick<Tools, 'reader' | 'writer'>, moves: Moves): void {
  const { reader, writer } = tools;
  const rehearsal = hasTasks(moves) ? reader.readIfPresent(rehearsalMarker, 64) : undefined;
  writeMoves(tools, rehearsal === undefined ? moves : { ...moves, rehearse: Number(rehearsal) || null });
  if (hasTasks(moves)) writer.replaceText(moveMarker, '0\n', 0o600);
  else removeMarker(tools);
  if (rehearsal !== undefined) writer.remove(rehearsalMarker);
}

/** Makes the next maintenance boots try again what three boots have not completed. */
export function retryTasks(tools: Pick<Tools, 'reader' | 'writer'>): void {
  const moves = readMoves(tools.reader);
  if (hasTasks(moves) && tools.reader.stat(moveMarker) === undefined) planTasks(tools, moves);
}

export function removeMarker({ reader, writer }: Pick<Tools, 'reader' | 'writer'>): void {
  if (reader.stat(moveMarker) !== undefined) writer.remove(moveMarker);
}

/** Where the content of a directory of PERSIST is. */
export interface PlaceInStore {
  path: string;
  /** Its directory in the store. */
  final: string;
  /** The name of this directory while it is not complete or not used; boot/persist/copy.ts replaces it. */
  copy: string;
}

export function placeInStore({ path, store }: Pick<Move, 'path' | 'store'>): PlaceInStore {
  const name = nameInStore(path);
  return { path, final: `${store}/${name}`, copy: `${store}/seeding:${name}` };
}

/** Describes the new place for messages. */
export function shownPlace(move: Move): string {
  return move.kind === 'home' ? `the file system ${move.place.fs}` : placeInStore(move).final;
}

/** Describes recorded tasks for a plan. Without the marker, no boot carries them out. */
export function describeTasks(reader: SystemReader, moves: readonly Move[]): string[] {
  if (moves.length === 0 || reader.stat(moveMarker) !== undefined) return moves.map(describeTask);
  return [
    ...moves.map(describeTask),
    'No further boot tries this: three boots did not complete it, or a file system could not be mounted. See the journals of these boots for the reason. To try again, run `immutafs-agent prepare --apply`.',
  ];
}

/** Describes what the next maintenance boot does with a directory: a sentence. */
export function describeTask(move: Move): string {
  const { path, task } = move;
  if (task === 'purge') return `The old content of ${path} is removed in the next maintenance boot.`;
  if (task === 'return') return `${path} moves back to the system disk in the next maintenance boot.`;
  return `${path} moves to ${shownPlace(move)} in the next maintenance boot.`;
}

/** Describes a failed task: a sentence without a full stop. */
export function describeFailure({ task, path, problem }: Move): string {
  if (task === 'purge') return `The old content of ${path} was not removed: ${problem}`;
  return `${path} was not moved${task === 'return' ? ' back' : ''}: ${problem}`;
}
