import { decodeBytes } from '../../lib/format.ts';
import { forwardDirectory } from '../../facts/forwarder.ts';
import { SystemError, errorMessage } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { SystemWriter } from '../../system/writer.ts';
import { type FileRecord, formatRecord, parseRecord } from '../files/records.ts';
import { parseCursor } from '../journal/cursor.ts';
import { isFilePosition } from '../reader.ts';

/** The maximum lag of the file behind the acknowledgements, in entries and in milliseconds. */
const unsavedEntries = 256;
const unsavedMilliseconds = 200;

/** The positions in log files (files/log-files.ts). */
export interface FilePositions {
  acknowledge: (position: string) => void;
  records: () => FileRecord[];
}

/**
 * Stores the cursor of the last journal entry and the position of the last line of each log file that a server has
 * acknowledged, in memory and, after a short delay, in a file. This is the last stage of the pipeline. After a restart,
 * forwarding continues after this entry and these lines.
 */
export class Checkpoint {
  cursor: string;
  /** The number of acknowledged entries that the file does not cover. They are sent again if the agent is killed. */
  unsaved = 0;
  readonly #write: (cursor: string, files: FileRecord[]) => void;
  readonly #files: FilePositions;
  #timer: NodeJS.Timeout | undefined;

  /** @param write stores a cursor and the positions in log files; must not throw */
  constructor(cursor: string, files: FilePositions, write: (cursor: string, files: FileRecord[]) => void) {
    this.cursor = cursor;
    this.#files = files;
    this.#write = write;
  }

  /** @param cursors the last cursor of the journal and the last position in each log file */
  acknowledge(entries: number, cursors: readonly string[]): void {
    for (const cursor of cursors) {
      if (isFilePosition(cursor)) this.#files.acknowledge(cursor);
      else this.cursor = cursor;
    }
    this.unsaved += entries;
    if (this.unsaved >= unsavedEntries) this.save();
    else this.#timer ??= setTimeout(() => this.save(), unsavedMilliseconds);
  }

  save(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.unsaved === 0) return;
    this.unsaved = 0;
    this.#write(this.cursor, this.#files.records());
  }
}

/**
 * Creates a checkpoint that is stored in the checkpoint file.
 * @param durable stores the same on a data disk
 * @param trouble is called if the file cannot be written; forwarding continues
 */
export function storedCheckpoint(
  cursor: string,
  files: FilePositions,
  writer: SystemWriter,
  bootId: string,
  durable: { save: (cursor: string, files: FileRecord[]) => void } | undefined,
  trouble: (reason: string) => void,
): Checkpoint {
  return new Checkpoint(cursor, files, (acknowledged, records) => {
    durable?.save(acknowledged, records);
    try {
      writeCheckpoint(writer, bootId, { cursor: acknowledged, files: records });
    } catch (error) {
      trouble(errorMessage(error));
    }
  });
}

export const checkpointFile = `${forwardDirectory}/cursor`;
export const checkpointBytes = 1024 * 1024;
/** The maximum size of the records of log files together, so that the file remains readable. */
const recordBytes = 900 * 1024;

export interface StoredCheckpoint {
  /** The cursor of the last acknowledged journal entry; '' to begin with the boot's first entry. */
  cursor: string;
  files: FileRecord[];
}

/**
 * Reads what was acknowledged. A checkpoint from another boot, or with a cursor in the future, is ignored. The position
 * in a log file that is malformed is left out.
 * @param bootId 32 hexadecimal digits
 * @param monotonic microseconds since the boot
 * @param keepsEarlier whether the cursor may be that of an entry of an earlier boot, because these are forwarded, too
 * @returns `problem` is set if the file, or a part of it, is not usable
 */
export function readCheckpoint(
  reader: SystemReader,
  bootId: string,
  monotonic: number,
  keepsEarlier = false,
): StoredCheckpoint & { problem?: string } {
  let text: string | undefined;
  try {
    text = reader.readRecord(checkpointFile, 'directory', checkpointBytes);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return { cursor: '', files: [], problem: error.message };
  }
  if (text === undefined) return { cursor: '', files: [] };
  const stored = parseCheckpoint(decodeBytes(text));
  if (stored === undefined)
    return { cursor: '', files: [], problem: `${checkpointFile} is not a valid checkpoint` };
  const { boot, cursor, files } = stored;
  if (boot !== bootId) return { cursor: '', files: [] };
  const parsed = parseCursor(cursor);
  const foreign = parsed !== undefined && parsed.boot !== bootId;
  const unusable =
    foreign && !keepsEarlier
      ? `the cursor in ${checkpointFile} belongs to another boot`
      : !foreign && parsed !== undefined && parsed.monotonic > monotonic
        ? `the cursor in ${checkpointFile} is in the future`
        : undefined;
  const problems = [unusable, malformedRecords(checkpointFile, stored)].filter((each) => each !== undefined);
  const problem = problems.length === 0 ? {} : { problem: problems.join(', and ') };
  return { cursor: unusable === undefined ? cursor : '', files, ...problem };
}

interface ParsedCheckpoint extends StoredCheckpoint {
  boot: string;
  /** The number of malformed `FILE=…` lines, which are left out. */
  malformed: number;
}

/** Parses `BOOT=…`, `CURSOR=…` and any number of `FILE=…` lines. @returns undefined if any other line is malformed */
export function parseCheckpoint(text: string): ParsedCheckpoint | undefined {
  const [head = '', boot, cursor = ''] = /^BOOT=([0-9a-f]{32})\nCURSOR=(\S*)\n/.exec(text) ?? [];
  if (boot === undefined || (cursor !== '' && parseCursor(cursor) === undefined)) return undefined;
  const lines = text.slice(head.length).split('\n');
  if (lines.pop() !== '' || !lines.every((line) => line.startsWith('FILE='))) return undefined;
  const files = lines.map(parseRecord).filter((file) => file !== undefined);
  return { boot, cursor, files, malformed: lines.length - files.length };
}

/** Describes what was left out of a checkpoint; undefined if nothing was. */
export function malformedRecords(file: string, { malformed }: ParsedCheckpoint): string | undefined {
  return malformed === 0 ? undefined : `${file} contains malformed positions of log files (${malformed})`;
}

/** @throws SystemError */
export function writeCheckpoint(writer: SystemWriter, bootId: string, checkpoint: StoredCheckpoint): void {
  writer.writeAtomically(checkpointFile, formatCheckpoint(bootId, checkpoint), 0o644);
}

/** Formats what `parseCheckpoint` reads. Records that would make the file too large to be read are left out. */
export function formatCheckpoint(bootId: string, { cursor, files }: StoredCheckpoint): string {
  let bytes = 0;
  const lines = files.map(formatRecord).filter((line) => {
    const size = Buffer.byteLength(line);
    if (bytes + size > recordBytes) return false;
    bytes += size;
    return true;
  });
  return `BOOT=${bootId}\nCURSOR=${cursor}\n${lines.join('')}`;
}
