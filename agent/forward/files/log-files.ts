import path from 'node:path';
import type { ForwardSource } from '../../facts/forwarder.ts';
import { type LineChunk, parseFilePosition } from '../stages.ts';
import { unlessSystemError } from '../../lib/errors.ts';
import { statLogFile } from '../../system/log-file.ts';
import type { FileRecord } from './content.ts';
import { DirectoryWatch } from './directory-watch.ts';
import { LogSource, type LogSourceOptions } from './log-source.ts';
import { expandPattern, fixedDirectory, isRotationOfAny, matchOf, wildcard } from './patterns.ts';

const mostLogs = 200;
/**
 * The maximum number of records of one log that are considered: the newest ones. The forwarder writes one for each open file
 * of the log, but an earlier boot may have written thousands, each of which would be sought in each rotated file.
 */
const mostRecords = 32;
/** The id of a file modulo this number is the number of its log. */
const idStep = 256;
const searchMilliseconds = 5000;
/** The delay after a name appeared or disappeared, so that several of them are examined at once. */
const nameMilliseconds = 20;
/** The maximum number of names that are kept: another user may create any number of them. */
const mostNames = 1000;

export interface LogFilesOptions extends Pick<
  LogSourceOptions,
  'trusted' | 'firstOffset' | 'isOfThisBoot' | 'booted'
> {
  /** Absolute paths; `*`, `?` and `[…]` match within a name. */
  patterns: readonly string[];
  records: readonly FileRecord[];
  auditFile: string;
  trouble: (reason: string) => void;
}

interface Listener {
  lost: (text: string) => void;
  /** Called when the logs must be read at once. */
  wake?: () => void;
  /** Called when something has changed in a directory of the logs. */
  changed?: () => void;
}

/** The logs that the patterns match, each with its position. They are kept when a connection ends. */
export class LogFiles {
  #final = false;
  readonly #options: LogFilesOptions;
  /** The logs by number; undefined for a number that is free. */
  readonly #slots: (LogSource | undefined)[] = [];
  #listener: Listener | undefined;
  #generation = 0;
  #searched = Number.NEGATIVE_INFINITY;
  #next = 0;
  /** The number of files that were removed before they could be opened. */
  missedFiles = 0;
  /** How many of them are not reported yet, and the last one. */
  #unreported = { count: 0, last: '' };
  readonly #directories = new DirectoryWatch((file) => this.#changed(file));
  /** What appeared or disappeared in the directories of the logs. */
  readonly #names = new Set<string>();
  /** What the patterns match and is no regular file. */
  readonly #others = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: LogFilesOptions) {
    this.#options = options;
  }

  get isEmpty(): boolean {
    return this.#options.patterns.length === 0;
  }

  get sources(): LogSource[] {
    return this.#slots.filter((source) => source !== undefined);
  }

  /** The state of the logs that exist or cannot be read. */
  state(): ForwardSource[] {
    return this.sources
      .filter(({ exists, error }) => exists || error !== '')
      .map(({ path: name, acknowledgedBytes, behindBytes, lostBytes, error }) => {
        return { path: name, acknowledgedBytes, behindBytes, lostBytes, error };
      });
  }

  get holding(): boolean {
    return this.sources.some(({ holding }) => holding);
  }

  /** Reading begins again after the last acknowledged lines. @param listener undefined when reading ends */
  attach(listener: Listener | undefined): void {
    this.#listener = listener;
    if (listener !== undefined) for (const source of this.sources) source.rewind();
  }

  /**
   * Watches the directories of the logs from now on, also while nothing is read. A file that appears is opened if it is
   * still there 20 ms later and a server is connected. Files that are removed before that are counted. They are not opened
   * without a server, because a removed file uses space, perhaps in memory, for as long as it is open.
   */
  watch(): void {
    this.#directories.set(new Set(this.#options.patterns.map(fixedDirectory)));
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
    this.#listener?.wake?.();
  }

  /** Notes which files have the names of the logs, while older files are being read, and whether there are new logs. */
  observe(): void {
    for (const source of this.sources) source.observe();
    if (this.#directories.haveChanged()) this.#searched = Number.NEGATIVE_INFINITY;
    const { count, last } = this.#unreported;
    if (count === 0 || this.#listener === undefined) return;
    this.#unreported = { count: 0, last: '' };
    const others = count === 1 ? '' : ` and ${count - 1} other files`;
    this.#listener.lost(
      `the lines of ${last}${others} are lost, because they were removed before they could be read`,
    );
  }

  acknowledge(position: string): void {
    const { id, offset } = parseFilePosition(position);
    this.#slots[id % idStep]?.acknowledge(id, offset);
  }

  records(): FileRecord[] {
    const known = this.sources.flatMap((source) =>
      source.records().map((record): FileRecord => ({ ...record, path: source.path })),
    );
    const paths = this.#paths;
    // What is known about a log that does not exist at present is kept.
    return [...known, ...this.#options.records.filter((record) => !paths.has(record.path))];
  }

  get #paths(): Set<string> {
    return new Set(this.sources.map((source) => source.path));
  }

  #changed(file: string | undefined): void {
    this.#listener?.changed?.();
    if (file === undefined) return;
    this.#names.add(file);
    if (this.#names.size >= mostNames) this.#examineNames();
    else this.#timer ??= setTimeout(() => this.#examineNames(), nameMilliseconds).unref();
  }

  /** Searches for logs at once if one of the names may be a log, and counts the logs that are gone already. */
  #examineNames(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const names = [...this.#names];
    this.#names.clear();
    const paths = this.#paths;
    const appeared = names.filter((file) => this.#mayBeNew(file, paths));
    if (appeared.length === 0 || this.#listener === undefined) return;
    this.#searched = Number.NEGATIVE_INFINITY;
    this.#listener.wake?.();
  }

  /** Whether the patterns match a name that exists and is not known. Counts a log that does not exist any more. */
  #mayBeNew(file: string, known: ReadonlySet<string>): boolean {
    if (known.has(file)) {
      for (const source of this.sources) if (source.path === file) source.observe();
      return false;
    }
    const matches = new Set(this.#options.patterns.map((pattern) => matchOf(pattern, file)));
    if (!matches.has('log')) return matches.has('directory');
    if (isRotationOfAny(file, known)) return false;
    const stat = unlessSystemError(() => statLogFile(file) ?? 'absent');
    if (stat !== 'absent') {
      if (stat?.isFile === false) this.#noteOther(file);
      return stat?.isFile !== false;
    }
    if (this.#others.delete(file)) return false;
    this.missedFiles += 1;
    this.#unreported = { count: this.#unreported.count + 1, last: file };
    return false;
  }

  #noteOther(file: string): void {
    if (this.#others.size >= mostNames) this.#others.clear();
    this.#others.add(file);
  }

  #search(now: number): void {
    this.#searched = now;
    // Logs that are named in full come first, so that a directory full of files cannot take their place.
    const patterns = this.#options.patterns.toSorted(
      (one, other) => Number(wildcard.test(one)) - Number(wildcard.test(other)),
    );
    const directories = new Set(patterns.map(fixedDirectory));
    const found = new Set(patterns.flatMap((pattern) => this.#matches(pattern, directories)));
    this.#directories.set(directories);
    const paths = this.#paths;
    for (const file of found) {
      if (paths.has(file) || isRotationOfAny(file, found)) continue;
      const slot = this.#freeSlot();
      if (slot === undefined) {
        this.#options.trouble(`FORWARD_FILES matches more than ${mostLogs} files; ${file} is not forwarded`);
        return;
      }
      const source = this.#source(file, slot);
      this.#slots[slot] = source;
      source.open(now);
    }
  }

  /** Returns a number for a log that no log has, if necessary that of a log which no longer exists. */
  #freeSlot(): number | undefined {
    const free = this.#slots.findIndex((source) => source === undefined);
    if (free >= 0) return free;
    if (this.#slots.length < mostLogs) return this.#slots.length;
    const slot = this.#slots.findIndex((source) => source?.isFinished === true);
    const finished = this.#slots[slot];
    if (finished === undefined) return undefined;
    finished.close();
    this.#slots[slot] = undefined;
    return slot;
  }

  #source(file: string, slot: number): LogSource {
    const { patterns, records, trusted, firstOffset, isOfThisBoot, booted, auditFile } = this.#options;
    return new LogSource({
      path: file,
      named: patterns.some((pattern) => path.posix.normalize(pattern) === file),
      audit: file === auditFile,
      records: records.filter((record) => record.path === file).slice(-mostRecords),
      ...{ trusted, firstOffset, booted, ...(isOfThisBoot && { isOfThisBoot }) },
      nextId: () => (this.#generation += 1) * idStep + slot,
      lost: (text) => this.#listener?.lost(text),
    });
  }

  #matches(pattern: string, directories: Set<string>): string[] {
    return expandPattern(pattern, ({ message }) => this.#options.trouble(`FORWARD_FILES: ${message}`), {
      directory: (directory) => directories.add(directory),
      other: (file) => this.#noteOther(file),
    });
  }
}
