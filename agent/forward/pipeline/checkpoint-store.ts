import { forwardDirectory as volatileDirectory } from '../../facts/forwarder.ts';
import { SystemError, errorMessage } from '../../lib/errors.ts';
import { decodeBytes } from '../../lib/format.ts';
import type { Clock } from '../../system/clock.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { SystemWriter } from '../../system/writer.ts';
import { parseCursor } from '../../lib/journal-export/cursor.ts';
import { toJson } from '../../lib/unprintable.ts';
import type { FileRecord } from '../files/content.ts';
import type { FirstBoot } from '../journal/earlier-boots.ts';
import type { Acknowledged } from './checkpoint.ts';

/** The checkpoint of this boot. */
export const checkpointFile = `${volatileDirectory}/cursor`;
/** The checkpoint that outlives this boot, in the directory of FORWARD_STATE. */
const durableFile = (directory: string) => `${directory}/checkpoint`;

/** The maximum age of the checkpoint on the disk, in milliseconds. As many entries are repeated after a power failure. */
const saveMilliseconds = 5000;
const flushMilliseconds = 3000;
/** A clock that is behind the last acknowledged entry by more than this is not trusted, in microseconds. */
const futureMicroseconds = 24 * 3600 * 1_000_000;

export interface Start extends Acknowledged {
  /** Where to begin if no cursor is known. */
  firstBoot: FirstBoot;
  /** Whether this boot stored the positions in log files. */
  trusted: boolean;
}

/** Reads the checkpoint of this boot or, if there is none, that of an earlier boot in FORWARD_STATE. */
export function readStart(
  reader: SystemReader,
  directory: string,
  clock: Clock,
  trouble: (reason: string) => void,
): Start {
  const isDurable = directory !== volatileDirectory;
  const { cursor, files, problem } = readOfThisBoot(reader, clock, isDurable);
  if (problem !== '') trouble(cursor === '' ? `${problem}; starting at this boot's first entry` : problem);
  if (!isDurable || cursor !== '') return { cursor, files, firstBoot: 'this', trusted: true };
  const { problem: reason, ...earlier } = readOfEarlierBoot(reader, directory, clock.realtime());
  const where = earlier.firstBoot === 'oldest' ? '; starting at the oldest entry' : '';
  if (reason !== '') trouble(`FORWARD_STATE: ${reason}${where}`);
  // In this boot, lines of log files may have been acknowledged before any entry of the journal.
  const trusted = files.length > 0;
  const unused = earlier.files.map((record) => ({ ...record, isEarlier: true as const }));
  return { ...earlier, files: trusted ? files : unused, trusted };
}

/** `problem`: why the checkpoint, or a part of it, is not usable; '' if it is. */
type Read = Acknowledged & { problem: string };

/**
 * Reads the checkpoint of this boot. One from another boot, or with a cursor in the future, is ignored.
 * @param keepsEarlier whether the cursor may be that of an entry of an earlier boot, because these are forwarded, too
 */
function readOfThisBoot(reader: SystemReader, { bootId, monotonic }: Clock, keepsEarlier: boolean): Read {
  const nothing = (problem: string): Read => ({ cursor: '', files: [], problem });
  const { text, problem: unreadable = '' } = readText(reader, checkpointFile);
  if (text === undefined) return nothing(unreadable);
  const stored = parseCheckpoint(text);
  if (stored === undefined) return nothing(`${checkpointFile} is not a valid checkpoint`);
  if (stored.boot !== bootId) return nothing('');
  const parsed = parseCursor(stored.cursor);
  const isForeign = parsed !== undefined && parsed.boot !== bootId;
  const isFuture = parsed !== undefined && !isForeign && parsed.monotonic > monotonic();
  const unusable = [
    ...(isForeign && !keepsEarlier ? [`the cursor in ${checkpointFile} belongs to another boot`] : []),
    ...(isFuture ? [`the cursor in ${checkpointFile} is in the future`] : []),
  ];
  const problem = [...unusable, ...malformedRecords(checkpointFile, stored)].join(', and ');
  return { cursor: unusable.length === 0 ? stored.cursor : '', files: stored.files, problem };
}

/**
 * Reads what was acknowledged in earlier boots. Somebody with root in an earlier boot may have written the file: it can
 * cause entries to be repeated, and entries of earlier boots to be left out, but no entry of this boot.
 * @param realtime microseconds since 1970
 */
function readOfEarlierBoot(
  reader: SystemReader,
  directory: string,
  realtime: number,
): Read & { firstBoot: FirstBoot } {
  const file = durableFile(directory);
  const nothing = (problem: string, firstBoot: FirstBoot = 'oldest') => ({
    ...{ cursor: '', files: [], firstBoot, problem },
  });
  const { text, problem: unreadable } = readText(reader, file, directory);
  if (unreadable !== undefined) return nothing(unreadable);
  if (text === undefined) return nothing('', 'this');
  const [, owner, rest = ''] = /^MACHINE=([0-9a-f]{32})\n([^]*)$/.exec(text) ?? [];
  const stored = parseCheckpoint(rest);
  if (owner === undefined || stored === undefined) return nothing(`${file} is not a valid checkpoint`);
  if (owner !== machineId(reader)) return nothing(`${file} belongs to another machine`);
  const { boot, cursor, files } = stored;
  if ((parseCursor(cursor)?.realtime ?? 0) > realtime + futureMicroseconds)
    return nothing(`the cursor in ${file} is in the future`);
  const firstBoot = cursor === '' ? { id: boot } : 'this';
  return { cursor, files, firstBoot, problem: malformedRecords(file, stored).join('') };
}

/**
 * Reads a checkpoint.
 * @param directory its absence is a problem
 * @returns an empty object if there is no checkpoint
 */
function readText(
  reader: SystemReader,
  file: string,
  directory?: string,
): { text?: string; problem?: string } {
  try {
    if (directory !== undefined && reader.stat(directory) === undefined)
      return { problem: `${directory} does not exist` };
    const text = reader.readRecord(file, 'directory', checkpointBytes);
    return text === undefined ? {} : { text: decodeBytes(text) };
  } catch (error) {
    if (error instanceof SystemError) return { problem: error.message };
    throw error;
  }
}

function malformedRecords(file: string, { malformed }: ParsedCheckpoint): string[] {
  return malformed === 0 ? [] : [`${file} contains malformed positions of log files (${malformed})`];
}

/** Returns the machine ID, or zeros if the machine has none (machine-id(5)). */
function machineId(reader: SystemReader): string {
  const id = reader.readIfPresent('/etc/machine-id', 4096)?.trim() ?? '';
  return /^[0-9a-f]{32}$/.test(id) ? id : '0'.repeat(32);
}

interface StoreOptions {
  reader: SystemReader;
  writer: SystemWriter;
  /** The value of FORWARD_STATE. */
  directory: string;
  bootId: string;
  /** Is called if a file cannot be written; forwarding continues. */
  trouble: (reason: string) => void;
}

/**
 * Stores the checkpoint in /run and, if FORWARD_STATE is on a data disk, also there. The disk may be slow, full or gone:
 * nothing waits for it.
 */
export class CheckpointStore {
  readonly #options: StoreOptions;
  readonly #isDurable: boolean;
  /** The boot to which a checkpoint without a cursor refers: the one with which forwarding begins; undefined for all. */
  readonly #firstBoot: string | undefined;
  #latest: Acknowledged | undefined;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(options: StoreOptions, { cursor, files, firstBoot }: Start) {
    this.#options = options;
    this.#isDurable = options.directory !== volatileDirectory;
    this.#firstBoot =
      firstBoot === 'this' ? options.bootId : firstBoot === 'oldest' ? undefined : firstBoot.id;
    // If nothing is stored yet, store that forwarding begins with this boot.
    if (cursor === '' && firstBoot === 'this') this.#saveLater({ cursor, files });
  }

  save(acknowledged: Acknowledged): void {
    const { writer, bootId, trouble } = this.#options;
    this.#saveLater(acknowledged);
    // The records in the checkpoint of this boot are trusted.
    const files = acknowledged.files.filter(({ isEarlier }) => isEarlier !== true);
    try {
      writer.writeAtomically(checkpointFile, formatCheckpoint(bootId, { ...acknowledged, files }), 0o644);
    } catch (error) {
      trouble(errorMessage(error));
    }
  }

  /** Writes what is not written to the disk yet, and gives up after three seconds. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#writeLatest();
    const late = new Promise<void>((resolve) => setTimeout(resolve, flushMilliseconds).unref());
    await Promise.race([this.#writing, late]);
  }

  #saveLater(acknowledged: Acknowledged): void {
    if (!this.#isDurable || (acknowledged.cursor === '' && this.#firstBoot === undefined)) return;
    this.#latest = acknowledged;
    this.#timer ??= setTimeout(() => this.#writeLatest(), saveMilliseconds);
  }

  #writeLatest(): void {
    this.#timer = undefined;
    this.#writing = this.#writing.then(async () => {
      const { reader, writer, directory, bootId, trouble } = this.#options;
      const latest = this.#latest;
      this.#latest = undefined;
      if (latest === undefined) return;
      const boot = latest.cursor === '' ? (this.#firstBoot ?? bootId) : bootId;
      try {
        const text = `MACHINE=${machineId(reader)}\n${formatCheckpoint(boot, latest)}`;
        await writer.writeAtomicallyLater(durableFile(directory), text, 0o600);
      } catch (error) {
        trouble(errorMessage(error));
      }
    });
  }
}

/** The maximum size of a checkpoint, and of its records of log files together, so that it remains readable. */
const checkpointBytes = 1024 * 1024;
const recordBytes = 900 * 1024;
/** The highest mtime, in milliseconds. */
const latest = 1e15;

interface ParsedCheckpoint extends Acknowledged {
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

/** Formats what `parseCheckpoint` reads. Records that would make it too large to be read are left out. */
export function formatCheckpoint(bootId: string, { cursor, files }: Acknowledged): string {
  let bytes = 0;
  const lines = files.map(formatRecord).filter((line) => {
    const size = Buffer.byteLength(line);
    if (bytes + size > recordBytes) return false;
    bytes += size;
    return true;
  });
  return `BOOT=${bootId}\nCURSOR=${cursor}\n${lines.join('')}`;
}

/**
 * Formats a line of the checkpoint. The owner of a file chooses its mtime and, with a sparse file, its size, so numbers
 * that cannot be read again are limited.
 */
function formatRecord({ path, inode, offset, bytes, modified, head, before }: FileRecord): string {
  const sizes = [offset, bytes].map((size) => limited(size, Number.MAX_SAFE_INTEGER)).join(' ');
  return `FILE=${inode} ${sizes} ${limited(modified, latest)} ${head} ${before} ${toJson(path)}\n`;
}

/** Limits a number so that it is written without an exponent: it has no more than 16 digits and 6 decimals. */
function limited(value: number, most: number): number {
  return Number(Math.max(0, Math.min(value, most)).toFixed(6));
}

const line =
  /^FILE=([0-9]{1,20}:[0-9]{1,20}) ([0-9]{1,16}) ([0-9]{1,16}) ([0-9]{1,16}(?:\.[0-9]{1,20})?) ([0-9a-f]{32}) ([0-9a-f]{32}) ("\/[^\n]*")$/;

function parseRecord(text: string): FileRecord | undefined {
  const [, inode = '', offset, bytes, modified, head = '', before = '', quoted = ''] = line.exec(text) ?? [];
  const path = unquote(quoted);
  const numbers = { offset: Number(offset), bytes: Number(bytes), modified: Number(modified) };
  const isSafe = Math.max(numbers.offset, numbers.bytes) <= Number.MAX_SAFE_INTEGER;
  if (path === undefined || !isSafe || numbers.modified > latest) return undefined;
  return { path, inode, ...numbers, head, before };
}

function unquote(text: string): string | undefined {
  try {
    return JSON.parse(text) as string;
  } catch {
    return undefined;
  }
}
