import { SystemError, unlessSystemError } from '../../lib/errors.ts';
import { type LogFile, statLogFile } from '../../system/log-file.ts';
import type { LineChunk } from '../stages.ts';
import type { TailRecord } from './content.ts';
import {
  type Found,
  type Generation,
  findContent,
  listedAgain,
  openGeneration,
  openListed,
  rotatedFiles,
} from './generations.ts';
import { SeenFiles } from './seen-files.ts';
import { TailOpener, type TailOpenerOptions, mostTails } from './tail-opener.ts';
import type { Skipped, Tail } from './tail.ts';

/** How long a file that was rotated is read, because a program may still write to it. */
const retiredMilliseconds = 30_000;
/** The maximum number of files that are opened or closed before other logs have their turn. */
const mostChanges = 32;
/** The number of skipped NUL bytes from which on they are reported. */
const reportedNuls = 1024 * 1024;
/** The minimum interval between searches for rotated files while the log does not exist, in milliseconds. */
const searchMilliseconds = 1000;

export interface LogSourceOptions extends Omit<TailOpenerOptions, 'lose'> {
  /** Whether the configuration names the log in full. Otherwise, it does not exist while it is no regular file. */
  named: boolean;
  lost: (text: string) => void;
}

/**
 * Reads one log file, and the files that rotation makes of it, in the order in which they were written.
 *
 * A renamed file stays open and is read to its end. After copytruncate, reading continues in the copy. Whatever was
 * removed before it could be read is counted.
 */
export class LogSource {
  readonly path: string;
  /** Why the log cannot be read; '' if it can, or if it does not exist. */
  error = '';
  /** Whether the log, or a rotated file of it, was found. */
  exists = false;
  acknowledgedBytes = 0;
  lostBytes = 0;
  readonly #options: LogSourceOptions;
  /** The oldest file first. The last one has the name of the log, unless the log was renamed and not created again. */
  #tails: Tail[] = [];
  /** Files whose content is gone, and of which lines are not yet acknowledged. */
  #gone: Tail[] = [];
  /** Files that took the place of the log while older ones were being read: their sizes by inode. */
  readonly #expected = new Map<string, number>();
  readonly #opener: TailOpener;
  readonly #seen = new SeenFiles();
  /** Whether there are rotated files that could not be opened yet, because too many others are open. */
  #areWaiting = false;
  #changes = 0;
  /** The skipped NUL bytes that are not reported yet. */
  #nuls = 0;
  #searched = Number.NEGATIVE_INFINITY;

  constructor(options: LogSourceOptions) {
    this.#options = options;
    this.path = options.path;
    this.#opener = new TailOpener({ ...options, lose: (bytes, why) => this.#lose(bytes, why) });
  }

  /** Whether bytes are held back until the file has been unchanged for a while. */
  get holding(): boolean {
    return this.#tails.some(({ holding }) => holding);
  }

  get behindBytes(): number {
    const expected = [...this.#expected.values()].reduce((sum, bytes) => sum + bytes, 0);
    return this.#tails.reduce(
      (sum, { bytes, acknowledged }) => sum + Math.max(0, bytes - acknowledged),
      expected,
    );
  }

  /** Begins again after the last acknowledged line. */
  rewind(): void {
    for (const { read, acknowledged } of this.#gone)
      this.#lose(read - acknowledged, 'it was truncated before the server accepted them');
    this.#gone = [];
    for (const tail of this.#tails) tail.rewind();
  }

  /** Opens the log if it exists, so that its state is known before its lines are read. */
  open(now: number): void {
    this.#attempt(() => this.#openNewer(now, false));
  }

  /**
   * Returns the next lines, or undefined at the end of the log.
   * @param now milliseconds of a clock that never goes back
   * @param final whether to return an incomplete last line as well
   */
  next(now: number, final: boolean): LineChunk | undefined {
    this.#changes = 0;
    while (this.#changes < mostChanges) {
      const found = this.#attempt(() => this.#nextOfTails(now, final) ?? this.#openNewer(now, final));
      if (typeof found === 'object') return found;
      if (found !== true) return undefined;
      this.#changes += 1;
    }
    return undefined;
  }

  /** Calls `action`. An error that belongs to the log becomes a part of its state. */
  #attempt<T>(action: () => T): T | undefined {
    try {
      return action();
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.error = error.message;
      return undefined;
    }
  }

  /** Notes which file has the name of the log, while older files are being read. */
  observe(): void {
    const live = this.#tails.at(-1);
    if (live === undefined) return;
    const stat = unlessSystemError(() => statLogFile(this.path));
    if (stat?.isFile !== true || stat.inode === live.inode) return;
    if (this.#expected.size < mostTails || this.#expected.has(stat.inode))
      this.#expected.set(stat.inode, stat.bytes);
  }

  acknowledge(id: number, offset: number): void {
    const tail = [...this.#tails, ...this.#gone].find((each) => each.id === id);
    if (tail === undefined) return;
    this.acknowledgedBytes += tail.acknowledge(offset);
    this.#gone = this.#gone.filter(({ acknowledged, read }) => acknowledged < read);
  }

  /** Returns where each file was acknowledged, for the checkpoint. */
  records(): TailRecord[] {
    // Until the log was opened, what is known from before must not be forgotten.
    if (this.#tails.length === 0) return [...this.#opener.records];
    return this.#tails.flatMap((tail) => {
      const record = unlessSystemError(() => tail.record());
      return record === undefined ? [] : [record];
    });
  }

  /** Whether the log does not exist any more, and everything of it is acknowledged. */
  get isFinished(): boolean {
    return this.#gone.length === 0 && this.#tails.every(({ done }) => done) && this.#itself().length === 0;
  }

  close(): void {
    for (const tail of this.#tails) tail.close();
    this.#tails = [];
  }

  /** @returns whether there is any file that was not open */
  #openNewer(now: number, final: boolean): boolean {
    this.#closeRetired(now);
    const found = listedAgain(() => this.#follow(now, final));
    this.error = '';
    return found;
  }

  #nextOfTails(now: number, final: boolean): LineChunk | undefined {
    for (let at = 0; at < this.#tails.length && this.#changes < mostChanges; at += 1) {
      const tail = this.#tails[at];
      if (tail === undefined) continue;
      if (this.#areWaiting && at === this.#tails.length - 1 && this.#insertCopies(tail, at)) {
        this.#changes += 1;
        at -= 1;
        continue;
      }
      const next = tail.next(now, final);
      if (typeof next === 'object' && 'text' in next) return next;
      if (next === undefined) {
        // The last line of an older file comes before the lines of a newer one.
        if (tail.holding) return undefined;
        continue;
      }
      this.#changes += 1;
      if (next === 'truncated') this.#truncated(tail, at);
      else if (next === 'stale') this.#renew(tail, at);
      else if (next === 'filled') this.#insertCopies(tail, at);
      else this.#reportSkipped(next);
      at -= 1;
    }
    return undefined;
  }

  /**
   * Opens a file anew that shows less than its size, under the name of the log or of a rotated file.
   * @throws SystemError if that does not help and the file has the name of the log
   */
  #renew(tail: Tail, at: number): void {
    const file = listedAgain(() => {
      const files = [...this.#itself(), ...rotatedFiles(this.path)];
      return fileWithRead(
        tail,
        files.filter(({ bytes }) => bytes >= tail.bytes),
      );
    });
    const copy = file && this.#opener.continue(tail, file);
    if (copy !== undefined && !copy.isStale) {
      copy.retire(tail.retired);
      tail.close();
      this.#tails.splice(at, 1, copy);
      return;
    }
    file?.close();
    if (tail.retired === undefined) throw new SystemError(`${this.path}: the end of the file cannot be read`);
    // A rotated file must not keep the log from being read.
    this.#lose(tail.bytes - tail.read, 'the end of a rotated file cannot be read');
    if (tail.acknowledged < tail.read) this.#gone.push(tail);
    this.#tails.splice(at, 1);
    tail.close();
  }

  /** Goes on in the copy that copytruncate made, if there is one, then in later copies, and then in the file itself. */
  #truncated(tail: Tail, at: number): void {
    const { isFound, copies: replacements } = listedAgain(() => this.#copiesOf(tail));
    if (!isFound) {
      this.#lose(tail.bytes - tail.read, 'it was truncated before it could be read');
      if (tail.acknowledged < tail.read) this.#gone.push(tail);
    }
    // A file that has the name of the log since then follows after its rotated files.
    const [log] = this.#itself().filter(({ inode }) => tail.retired === undefined && inode === tail.inode);
    const again = log && unlessSystemError(() => this.#opener.open(openListed(log), 0));
    if (again !== undefined) replacements.push(again);
    this.#tails.splice(at, 1, ...replacements);
    tail.close();
    // If the log cannot be opened now, it is read like a new one later, without the files that were rotated before.
    if (this.#tails.length === 0) this.#opener.records = [{ ...tail.recordOfSeen(), offset: 0 }];
  }

  /**
   * Opens the copy of a truncated file, from where the file was read, and the files that are new.
   * @returns whether there is a copy
   */
  #copiesOf(tail: Tail): { isFound: boolean; copies: Tail[] } {
    const rotated = rotatedFiles(this.path);
    const found = this.#copyOf(
      tail,
      rotated.filter(({ inode }) => !this.#isOpen(inode)),
    );
    if (found === undefined && tail.retired !== undefined) return { isFound: false, copies: [] };
    try {
      const wanted = this.#newOf(rotated).filter((each) => each !== found?.generation);
      const copies = this.#opener.openCopies(wanted);
      if (found !== undefined) {
        const copy = this.#opener.continue(tail, found.file);
        copy.retire(0, true);
        copies.unshift(copy);
      }
      this.#remember(rotated, wanted);
      return { isFound: found !== undefined, copies };
    } catch (error) {
      found?.file.close();
      throw error;
    }
  }

  /** Opens the files that were written after the last open one. @returns whether there is any */
  #follow(now: number, final: boolean): boolean {
    const live = this.#tails.at(-1);
    if (live === undefined) return this.#open(now);
    const [log] = this.#itself();
    if (log?.inode === live.inode && log.bytes <= live.bytes) return false;
    if (log === undefined && !final && now - this.#searched < searchMilliseconds) return false;
    this.#searched = now;
    if (log !== undefined && this.#reopen(live, log)) return true;
    if (log?.inode === live.inode) return false;
    const rotated = rotatedFiles(this.path);
    const between = this.#newOf(rotated).filter(({ inode }) => inode !== log?.inode);
    const newer = [...between, ...(log === undefined ? [] : [log])];
    const opened = this.#opener.openAll(newer, now);
    this.#remember(rotated, newer);
    if (opened.length === 0) return false;
    live.retire(now);
    this.#tails.push(...opened);
    this.#countMissing();
    return true;
  }

  /**
   * Opens the log anew if it has the content of the open file and more. An overlay copies a file up when a program opens
   * it for writing: its inode changes, and on Linux 3.10 a file that was opened before never shows what is written
   * afterwards (overlayfs.rst).
   */
  #reopen(live: Tail, log: Generation): boolean {
    if (live.bytes === 0 || log.bytes < live.bytes) return false;
    const isRenamed = rotatedFiles(this.path).some(({ inode }) => inode === live.inode);
    if (isRenamed) return false;
    const found = this.#copyOf(live, [log]);
    if (found === undefined) return false;
    const copy = this.#opener.continue(live, found.file);
    live.close();
    this.#tails.splice(-1, 1, copy);
    this.#expected.clear();
    return copy.bytes > copy.read;
  }

  #copyOf(tail: Tail, candidates: readonly Generation[]): Found | undefined {
    const record = tail.recordOfSeen();
    return record.offset === 0 ? undefined : findContent(candidates, record);
  }

  /**
   * Reads first what copytruncate copied of a file that was empty before and may be empty again.
   * @returns whether there is a copy
   */
  #insertCopies(tail: Tail, at: number): boolean {
    const [log] = this.#itself();
    if (log?.inode !== tail.inode) return false;
    const copies = listedAgain(() => {
      const rotated = rotatedFiles(this.path);
      const wanted = this.#newOf(rotated);
      const opened = this.#opener.openCopies(wanted);
      this.#remember(rotated, wanted);
      return opened;
    });
    this.#tails.splice(at, 0, ...copies);
    return copies.length > 0;
  }

  /** Returns the files that were not there when the rotated files were listed last, or could not be opened then. */
  #newOf(rotated: readonly Generation[]): Generation[] {
    return rotated.filter((file) => !this.#seen.has(file) && !this.#isOpen(file.inode));
  }

  /** Remembers the rotated files. @param wanted those that had to be opened, of which the first ones were */
  #remember(rotated: readonly Generation[], wanted: readonly Generation[]): void {
    const waiting = new Set(wanted.slice(mostTails));
    this.#areWaiting = waiting.size > 0;
    this.#seen.set(rotated.filter((file) => !waiting.has(file)));
  }

  /** Opens the log for the first time. @returns whether it exists */
  #open(now: number): boolean {
    const rotated = rotatedFiles(this.path);
    const { tails, wanted } = this.#opener.resume(this.#itself(), rotated, now);
    this.#tails = tails;
    this.exists = this.#tails.length > 0;
    if (this.exists) this.#remember(rotated, wanted);
    return this.exists;
  }

  #itself(): Generation[] {
    const stat = statLogFile(this.path);
    return stat === undefined || !(stat.isFile || this.#options.named) ? [] : [{ file: this.path, ...stat }];
  }

  #isOpen(inode: string): boolean {
    return this.#tails.some((tail) => tail.inode === inode);
  }

  #closeRetired(now: number): void {
    for (const [index, tail] of this.#tails.slice(0, -1).entries()) {
      const many = this.#tails.length > mostTails;
      // Without a signal, a program goes on writing to the file that was rotated last.
      const isLatest = index === this.#tails.length - 2;
      const isQuiet = now - (tail.quietSince ?? now) >= retiredMilliseconds && !isLatest;
      if (!tail.done || (!many && !isQuiet)) continue;
      this.#seen.add(tail);
      tail.close();
      this.#tails = this.#tails.filter((each) => each !== tail);
    }
  }

  /** Counts the files that had the name of the log for a while, and were removed before they could be opened. */
  #countMissing(): void {
    for (const [inode, bytes] of this.#expected)
      if (!this.#isOpen(inode)) this.#lose(bytes, 'it was removed before it could be read');
    this.#expected.clear();
  }

  /** Reports skipped NUL bytes, but not each hole of a file that has many. */
  #reportSkipped({ nuls, unknown }: Skipped): void {
    this.#nuls += nuls;
    if (this.#nuls >= reportedNuls || unknown > 0) {
      this.#options.lost(`${this.#nuls} NUL bytes of ${this.path} were skipped: the file has holes`);
      this.#nuls = 0;
    }
    this.#lose(unknown, 'the file is sparse, and more than 1 GiB of it are holes');
  }

  #lose(bytes: number, how: string): void {
    if (bytes <= 0) return;
    this.lostBytes += bytes;
    this.#options.lost(`${bytes} bytes of ${this.path} are lost, because ${how}`);
  }
}

/** Opens the file that has the content which was read of a tail; undefined if there is none. */
function fileWithRead(tail: Tail, candidates: readonly Generation[]): LogFile | undefined {
  const record = tail.recordOfRead();
  if (record.offset !== tail.read) return undefined;
  if (record.offset > 0) return findContent(candidates, record)?.file;
  const same = candidates.find(({ inode }) => inode === tail.inode);
  return same && openGeneration(same);
}
