import path from 'node:path';
import type { ForwardSource } from '../../facts/forwarder.ts';
import { SystemError, unlessSystemError } from '../../lib/errors.ts';
import { namesIn, statLogFile } from '../../system/log-file.ts';
import type { LineChunk } from '../reader.ts';
import { isRotation } from './generations.ts';
import { LogSource, type LogSourceOptions } from './log-source.ts';
import type { FileRecord } from './records.ts';

/** The maximum number of logs. */
const mostLogs = 200;
/** The id of a file modulo this number is the number of its log. */
const idStep = 256;
/** The interval at which folders are searched for new logs, in milliseconds. */
const searchMilliseconds = 5000;

export interface LogFilesOptions extends Pick<LogSourceOptions, 'trusted' | 'firstOffset' | 'booted'> {
  /** Absolute paths; `*`, `?` and `[…]` match within a name. */
  patterns: readonly string[];
  records: readonly FileRecord[];
  /** The log of auditd. */
  auditFile: string;
  trouble: (reason: string) => void;
}

/** The logs that the patterns match, each with its position. They are kept when a connection ends. */
export class LogFiles {
  /** Receives reports about lost bytes. */
  lost: (text: string) => void = () => undefined;
  /** Called when the logs must be read at once. */
  wake: () => void = () => undefined;
  #final = false;
  readonly #options: LogFilesOptions;
  readonly #sources = new Map<string, LogSource>();
  /** The logs by number; undefined for a number that is free. */
  readonly #slots: (LogSource | undefined)[] = [];
  #generation = 0;
  #searched = Number.NEGATIVE_INFINITY;
  #next = 0;

  constructor(options: LogFilesOptions) {
    this.#options = options;
  }

  /** Whether no log is to be read. */
  get isEmpty(): boolean {
    return this.#options.patterns.length === 0;
  }

  get sources(): LogSource[] {
    return [...this.#sources.values()];
  }

  /** The state of the logs that exist or cannot be read. */
  state(): ForwardSource[] {
    return this.sources
      .filter(({ exists, error }) => exists || error !== '')
      .map(({ path: name, acknowledgedBytes, behindBytes, lostBytes, error }) => ({
        path: name,
        acknowledgedBytes,
        behindBytes,
        lostBytes,
        error,
      }));
  }

  /** The folders of the logs, without those that only a pattern names. */
  get folders(): Set<string> {
    return new Set(this.#options.patterns.map((pattern) => fixedFolder(pattern)));
  }

  get holding(): boolean {
    return this.sources.some(({ holding }) => holding);
  }

  rewind(): void {
    for (const source of this.#sources.values()) source.rewind();
  }

  /**
   * Returns the next lines of any log, or undefined at the end of all of them. The logs take turns.
   * @param now milliseconds of a clock that never goes back
   */
  next(now: number): LineChunk | undefined {
    if (now - this.#searched >= searchMilliseconds) this.#search(now);
    const { sources } = this;
    for (let count = 0; count < sources.length; count += 1) {
      const chunk = sources[this.#next++ % sources.length]?.next(now, this.#final);
      if (chunk !== undefined) return chunk;
    }
    return undefined;
  }

  /** Makes incomplete last lines count as lines, because nothing will be written any more, and reads the logs at once. */
  complete(): void {
    this.#final = true;
    this.wake();
  }

  /** Notes which files have the names of the logs, while older files are being read. */
  observe(): void {
    for (const source of this.#sources.values()) source.observe();
  }

  acknowledge(position: string): void {
    const colon = position.indexOf(':');
    const id = Number(position.slice(0, colon));
    this.#slots[id % idStep]?.acknowledge(id, Number(position.slice(colon + 1)));
  }

  records(): FileRecord[] {
    const known = this.sources.flatMap((source) =>
      source.records().map((record): FileRecord => ({ ...record, path: source.path })),
    );
    // What is known about a log that does not exist at present is kept.
    return [...known, ...this.#options.records.filter((record) => !this.#sources.has(record.path))];
  }

  #search(now: number): void {
    this.#searched = now;
    // Logs that are named in full come first, so that a folder full of files cannot take their place.
    const patterns = this.#options.patterns.toSorted(
      (one, other) => Number(wildcard.test(one)) - Number(wildcard.test(other)),
    );
    const found = new Set(patterns.flatMap((pattern) => this.#matches(pattern)));
    for (const file of found) {
      if (this.#sources.has(file) || isRotationOfAny(file, found)) continue;
      const slot = this.#freeSlot();
      if (slot === undefined) {
        this.#options.trouble(`FORWARD_FILES matches more than ${mostLogs} files; ${file} is not forwarded`);
        return;
      }
      const source = this.#source(file, slot);
      this.#slots[slot] = source;
      this.#sources.set(file, source);
      source.open(now);
    }
  }

  /** Returns a number for a log that no log has, if necessary that of a log which no longer exists. */
  #freeSlot(): number | undefined {
    if (this.#sources.size < mostLogs) {
      const free = this.#slots.findIndex((source) => source === undefined);
      return free < 0 ? this.#slots.length : free;
    }
    const slot = this.#slots.findIndex((source) => source?.isFinished === true);
    const finished = this.#slots[slot];
    if (finished === undefined) return undefined;
    finished.close();
    this.#sources.delete(finished.path);
    this.#slots[slot] = undefined;
    return slot;
  }

  #source(file: string, slot: number): LogSource {
    const { patterns, records, trusted, firstOffset, booted, auditFile } = this.#options;
    return new LogSource({
      path: file,
      named: patterns.some((pattern) => path.posix.normalize(pattern) === file),
      audit: file === auditFile,
      records: records.filter((record) => record.path === file),
      trusted,
      firstOffset,
      booted,
      nextId: () => (this.#generation += 1) * idStep + slot,
      lost: (text) => this.lost(text),
    });
  }

  #matches(pattern: string): string[] {
    return expandPattern(pattern, ({ message }) => this.#options.trouble(`FORWARD_FILES: ${message}`));
  }
}

const wildcard = /[*?[]/;

/**
 * Returns the paths that a pattern matches. A pattern without wildcards matches its own name, whatever that is. A pattern
 * with wildcards matches neither compressed files nor what exists and is no regular file: folders, FIFOs, links.
 * @param unreadable receives the error of each folder that cannot be read
 */
export function expandPattern(pattern: string, unreadable: (error: SystemError) => void): string[] {
  let found = [''];
  for (const name of path.posix.normalize(pattern).split('/').slice(1)) {
    found = wildcard.test(name)
      ? found.flatMap((folder) => matchingNames(folder, name, unreadable).map((each) => `${folder}/${each}`))
      : found.map((folder) => `${folder}/${name}`);
  }
  return wildcard.test(pattern) ? found.filter(mayBeLog).slice(0, 2 * mostLogs) : found;
}

function matchingNames(folder: string, pattern: string, unreadable: (error: SystemError) => void): string[] {
  try {
    const names = namesIn(folder === '' ? '/' : folder).filter((name) =>
      path.posix.matchesGlob(name, pattern),
    );
    return names.filter((name) => !/\.(gz|xz|bz2|zst|lz4|Z)$/.test(name));
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    unreadable(error);
    return [];
  }
}

/** Whether a path names a regular file, or does not exist yet, or cannot be examined, which is reported later. */
function mayBeLog(file: string): boolean {
  return unlessSystemError(() => statLogFile(file))?.isFile !== false;
}

/** Whether a file is a rotated file of another log: it is read as a part of that log. */
function isRotationOfAny(file: string, logs: ReadonlySet<string>): boolean {
  for (let end = file.length - 1; end > file.lastIndexOf('/') + 1; end -= 1) {
    if (
      (file[end] === '.' || file[end] === '-') &&
      logs.has(file.slice(0, end)) &&
      isRotation(file.slice(end))
    )
      return true;
  }
  return false;
}

/** Returns the folder before the first wildcard. */
function fixedFolder(pattern: string): string {
  const names = pattern.split('/');
  const first = names.findIndex((name) => wildcard.test(name));
  return names.slice(0, first < 0 ? -1 : first).join('/') || '/';
}
