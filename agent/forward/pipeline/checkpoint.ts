import { forwardFolder } from '../../facts/forwarder.ts';
import { HostError, errorMessage } from '../../lib/errors.ts';
import type { Clock } from '../../system/clock.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { SystemWriter } from '../../system/writer.ts';
import { parseCursor } from '../journal/cursor.ts';

/** The maximum lag of the file behind the acknowledgements, in entries and in milliseconds. */
const unsavedEntries = 256;
const unsavedMilliseconds = 200;

/**
 * Stores the cursor of the last entry that a server has acknowledged, in memory and, after a short delay, in a file.
 * This is the last stage of the pipeline. After a restart, forwarding continues after this entry.
 */
export class Checkpoint {
  cursor: string;
  /** The number of acknowledged entries that the file does not cover. They are sent again if the agent is killed. */
  unsaved = 0;
  readonly #write: (cursor: string) => void;
  #timer: NodeJS.Timeout | undefined;

  /** @param write stores a cursor; must not throw */
  constructor(cursor: string, write: (cursor: string) => void) {
    this.cursor = cursor;
    this.#write = write;
  }

  acknowledge(entries: number, cursor: string): void {
    this.cursor = cursor;
    this.unsaved += entries;
    if (this.unsaved >= unsavedEntries) this.save();
    else this.#timer ??= setTimeout(() => this.save(), unsavedMilliseconds);
  }

  save(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.unsaved === 0) return;
    this.unsaved = 0;
    this.#write(this.cursor);
  }
}

/**
 * Opens the checkpoint file.
 * @param trouble is called if the file cannot be read or written; forwarding continues in both cases
 */
export function openCheckpoint(
  reader: SystemReader,
  writer: SystemWriter,
  clock: Clock,
  trouble: (reason: string) => void,
): Checkpoint {
  const { cursor, problem } = readCheckpoint(reader, clock.bootId, clock.monotonic());
  if (problem !== undefined) trouble(`${problem}; starting at this boot's first entry`);
  return new Checkpoint(cursor, (acknowledged) => {
    try {
      writeCheckpoint(writer, clock.bootId, acknowledged);
    } catch (error) {
      trouble(errorMessage(error));
    }
  });
}

export const checkpointFile = `${forwardFolder}/cursor`;

/**
 * Reads the cursor of the last acknowledged entry. A cursor from another boot or in the future is ignored.
 * @param bootId 32 hexadecimal digits
 * @param monotonic microseconds since the boot
 * @returns the cursor, or '' to begin with the boot's first entry; `problem` is set if the file is not usable
 */
export function readCheckpoint(
  reader: SystemReader,
  bootId: string,
  monotonic: number,
): { cursor: string; problem?: string } {
  let text: string | undefined;
  try {
    text = reader.readRecord(checkpointFile, 'folder', 4096);
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    return { cursor: '', problem: error.message };
  }
  if (text === undefined) return { cursor: '' };
  const [, boot, cursor = ''] = /^BOOT=([0-9a-f]{32})\nCURSOR=(\S+)\n$/.exec(text) ?? [];
  const parsed = parseCursor(cursor);
  if (boot === undefined || parsed === undefined)
    return { cursor: '', problem: `${checkpointFile} is not a valid checkpoint` };
  if (boot !== bootId) return { cursor: '' };
  if (parsed.boot !== bootId)
    return { cursor: '', problem: `the cursor in ${checkpointFile} belongs to another boot` };
  if (parsed.monotonic > monotonic)
    return { cursor: '', problem: `the cursor in ${checkpointFile} is in the future` };
  return { cursor };
}

/** @throws HostError */
export function writeCheckpoint(writer: SystemWriter, bootId: string, cursor: string): void {
  writer.writeAtomically(checkpointFile, `BOOT=${bootId}\nCURSOR=${cursor}\n`, 0o644);
}
