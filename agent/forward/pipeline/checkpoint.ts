import { decodeBytes } from '../../lib/format.ts';
import { forwardFolder } from '../../facts/forwarder.ts';
import { HostError, errorMessage } from '../../lib/errors.ts';
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

export const checkpointFile = `${forwardFolder}/cursor`;
export const checkpointBytes = 1024 * 1024;

export interface StoredCheckpoint {
  /** The cursor of the last acknowledged journal entry; '' to begin with the boot's first entry. */
  cursor: string;
  files: FileRecord[];
}

/**
 * Reads what was acknowledged. A checkpoint from another boot, or with a cursor in the future, is ignored.
 * @param bootId 32 hexadecimal digits
 * @param monotonic microseconds since the boot
 * @param keepsEarlier whether the cursor may be that of an entry of an earlier boot, because these are forwarded, too
 * @returns `problem` is set if the file is not usable
 */
export function readCheckpoint(
  reader: SystemReader,
  bootId: string,
  monotonic: number,
  keepsEarlier = false,
): StoredCheckpoint & { problem?: string } {
  let text: string | undefined;
  try {
    text = reader.readRecord(checkpointFile, 'folder', checkpointBytes);
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    return { cursor: '', files: [], problem: error.message };
  }
  if (text === undefined) return { cursor: '', files: [] };
  const stored = parseCheckpoint(decodeBytes(text));
  if (stored === undefined)
    return { cursor: '', files: [], problem: `${checkpointFile} is not a valid checkpoint` };
  const { boot, cursor, files } = stored;
  if (boot !== bootId) return { cursor: '', files: [] };
  const parsed = parseCursor(cursor);
  if (parsed !== undefined && parsed.boot !== bootId && keepsEarlier) return { cursor, files };
  if (parsed !== undefined && parsed.boot !== bootId)
    return { cursor: '', files, problem: `the cursor in ${checkpointFile} belongs to another boot` };
  if (parsed !== undefined && parsed.monotonic > monotonic)
    return { cursor: '', files, problem: `the cursor in ${checkpointFile} is in the future` };
  return { cursor, files };
}

/** Parses `BOOT=…`, `CURSOR=…` and any number of `FILE=…` lines. @returns undefined if any line is malformed */
export function parseCheckpoint(text: string): (StoredCheckpoint & { boot: string }) | undefined {
  const [, boot, cursor = '', rest = ''] =
    /^BOOT=([0-9a-f]{32})\nCURSOR=(\S*)\n((?:FILE=.*\n)*)$/.exec(text) ?? [];
  if (boot === undefined || (cursor !== '' && parseCursor(cursor) === undefined)) return undefined;
  const files = rest.split('\n').slice(0, -1).map(parseRecord);
  const valid = files.filter((file) => file !== undefined);
  return valid.length === files.length ? { boot, cursor, files: valid } : undefined;
}

/** @throws HostError */
export function writeCheckpoint(writer: SystemWriter, bootId: string, checkpoint: StoredCheckpoint): void {
  writer.writeAtomically(checkpointFile, formatCheckpoint(bootId, checkpoint), 0o644);
}

/** Formats what `parseCheckpoint` reads. */
export function formatCheckpoint(bootId: string, { cursor, files }: StoredCheckpoint): string {
  return `BOOT=${bootId}\nCURSOR=${cursor}\n${files.map(formatRecord).join('')}`;
}
