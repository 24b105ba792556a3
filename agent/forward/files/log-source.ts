import { HostError, unlessHostError } from '../../lib/errors.ts';
import { type LogFile, openLogFile, statLogFile } from '../../system/log-file.ts';
import type { LineChunk } from '../reader.ts';
import { type Found, type Generation, findContent, openGeneration, rotatedFiles } from './generations.ts';
import { Tail, type TailRecord, hasContent } from './tail.ts';

/** How long a file that was rotated is read, because a program may still write to it. */
const retiredMilliseconds = 30_000;
/** The maximum number of files of one log that are open at a time. */
const mostTails = 8;
/** The maximum number of files that are opened or closed before other logs have their turn. */
const mostChanges = 32;
/** How many unreadable rotated files are remembered, so that each is counted once. */
const mostSkipped = 1000;
/** The minimum interval between searches for rotated files while the log does not exist, in milliseconds. */
const searchMilliseconds = 1000;

export interface LogSourceOptions {
  path: string;
  /** Whether this is the log of auditd. */
  audit: boolean;
  /** What was forwarded before, the oldest file first; empty if nothing is known. */
  records: readonly TailRecord[];
  /** Whether this boot wrote the records. Those of another boot may have been forged by whoever had root then. */
  trusted: boolean;
  /** Where to begin in a log of which nothing was forwarded, in bytes. */
  firstOffset: (path: string) => number;
  /** The time of the boot, in milliseconds since the epoch: files that were rotated after it are read, too. */
  booted: number;
  nextId: () => number;
  /** Reports that bytes of the log are lost. */
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
  truncations = 0;
  readonly #options: LogSourceOptions;
  /** The oldest file first. The last one has the name of the log, unless the log was renamed and not created again. */
  #tails: Tail[] = [];
  /** Files whose content is gone, and of which lines are not yet acknowledged. */
  #gone: Tail[] = [];
  #records: readonly TailRecord[];
  /** Files that took the place of the log while older ones were being read: their sizes by inode. */
  readonly #expected = new Map<string, number>();
  /** The inodes of rotated files that cannot be read. */
  readonly #skipped = new Set<string>();
  #changes = 0;
  #searched = Number.NEGATIVE_INFINITY;

  constructor(options: LogSourceOptions) {
    this.#options = options;
    this.#records = options.records;
    this.path = options.path;
  }

  /** Whether bytes are held back until the file has been unchanged for a while. */
  get holding(): boolean {
    return this.#tails.some(({ holding }) => holding);
  }

  /** The number of bytes that are not acknowledged. */
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

  /**
   * Returns the next lines, or undefined at the end of the log.
   * @param now milliseconds of a clock that never goes back
   * @param final whether to return an incomplete last line as well
   */
  next(now: number, final: boolean): LineChunk | undefined {
    try {
      this.#changes = 0;
      while (this.#changes < mostChanges) {
        const chunk = this.#nextOfTails(now, final);
        if (chunk !== undefined) return chunk;
        this.#closeRetired(now);
        const found = this.#follow(now, final);
        this.error = '';
        if (!found) return undefined;
        this.#changes += 1;
      }
      return undefined;
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      this.error = error.message;
      return undefined;
    }
  }

  /** Notes which file has the name of the log, while older files are being read. */
  observe(): void {
    const live = this.#tails.at(-1);
    const stat = unlessHostError(() => statLogFile(this.path));
    if (live === undefined || stat === undefined || stat.inode === live.inode) return;
    if (this.#expected.size < mostTails || this.#expected.has(stat.inode))
      this.#expected.set(stat.inode, stat.bytes);
  }

  acknowledge(id: number, offset: number): void {
    const tail = [...this.#tails, ...this.#gone].find((each) => each.id === id);
    if (tail === undefined || offset <= tail.acknowledged) return;
    this.acknowledgedBytes += offset - tail.acknowledged;
    tail.acknowledged = offset;
    this.#gone = this.#gone.filter(({ acknowledged, read }) => acknowledged < read);
  }

  /** Returns where each file was acknowledged, for the checkpoint. */
  records(): TailRecord[] {
    // Until the log was opened, what is known from before must not be forgotten.
    if (this.#tails.length === 0) return [...this.#records];
    return this.#tails.flatMap((tail) => {
      const record = unlessHostError(() => tail.record());
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

  #nextOfTails(now: number, final: boolean): LineChunk | undefined {
    for (let at = 0; at < this.#tails.length && this.#changes < mostChanges; at += 1) {
      const tail = this.#tails[at];
      if (tail === undefined) continue;
      const next = tail.next(now, final);
      if (typeof next === 'object' && 'text' in next) return next;
      if (next === undefined) {
        // The last line of an older file comes before the lines of a newer one.
        if (tail.holding) return undefined;
        continue;
      }
      this.#changes += 1;
      if (next === 'truncated') this.#truncated(tail, at);
      else if (next === 'stale') {
        if (!this.#renew(tail, at)) throw new HostError(`${this.path}: the end of the file cannot be read`);
      } else this.#insertCopies(tail, at, next.emptySince);
      at -= 1;
    }
    return undefined;
  }

  /** Opens a file anew that shows less than its size. @returns whether that helped */
  #renew(tail: Tail, at: number): boolean {
    const [log] = this.#itself();
    if (log === undefined || log.bytes < tail.bytes) return false;
    const file = openGeneration(log);
    if (file === undefined) return false;
    const { offset, head, before } = tail.recordOfRead();
    const copy =
      offset === tail.read && hasContent(file, offset, head, before)
        ? this.#continued(tail, file)
        : undefined;
    if (copy === undefined || copy.isStale) {
      file.close();
      return false;
    }
    tail.close();
    this.#tails.splice(at, 1, copy);
    return true;
  }

  /** Goes on in the copy that copytruncate made, if there is one, then in later copies, and then in the file itself. */
  #truncated(tail: Tail, at: number): void {
    this.truncations += 1;
    const rotated = rotatedFiles(this.path).filter(({ inode }) => !this.#isOpen(inode));
    const found = this.#copyOf(tail, rotated);
    const replacements: Tail[] = [];
    if (found === undefined) {
      this.#lose(tail.bytes - tail.read, 'it was truncated before it could be read');
      if (tail.acknowledged < tail.read) this.#gone.push(tail);
    } else {
      const later = rotated.slice(rotated.indexOf(found.generation) + 1);
      replacements.push(this.#continued(tail, found.file), ...this.#opened(later));
      for (const copy of replacements) [copy.retired, copy.complete] = [0, true];
    }
    const again =
      tail.retired === undefined ? unlessHostError(() => this.#tail(openLogFile(this.path), 0)) : undefined;
    if (again !== undefined) replacements.push(again);
    this.#tails.splice(at, 1, ...replacements);
    tail.close();
    // If the log cannot be opened now, it is read like a new one later, without the files that were rotated before.
    if (this.#tails.length === 0) this.#records = [{ ...tail.recordOfSeen(), offset: 0 }];
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
    const between = rotatedFiles(this.path).filter(
      ({ inode, modified }) => modified >= live.modified && inode !== log?.inode && !this.#isOpen(inode),
    );
    const newer = [...between, ...(log === undefined ? [] : [log])];
    const opened = this.#openAll(newer, now);
    if (opened.length === 0) return false;
    live.retired = now;
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
    const copy = this.#continued(live, found.file);
    live.close();
    this.#tails.splice(-1, 1, copy);
    this.#expected.clear();
    return copy.bytes > copy.read;
  }

  /** Returns a tail that continues another one in a file with the same content. It keeps the id, as offsets are equal. */
  #continued(tail: Tail, file: LogFile): Tail {
    const { acknowledged, read } = tail;
    return this.#made(file, () => new Tail(tail.id, this.path, file, acknowledged, read));
  }

  #copyOf(tail: Tail, candidates: readonly Generation[]): Found | undefined {
    const record = tail.recordOfSeen();
    return record.offset === 0 ? undefined : findContent(candidates, record);
  }

  /** Reads first what copytruncate copied of a file that was empty before and may be empty again. */
  #insertCopies(tail: Tail, at: number, emptySince: number): void {
    const [log] = this.#itself();
    if (log?.inode !== tail.inode) return;
    const copies = this.#opened(
      rotatedFiles(this.path).filter(({ inode, modified }) => modified > emptySince && !this.#isOpen(inode)),
    );
    for (const copy of copies) [copy.retired, copy.complete] = [0, true];
    this.#tails.splice(at, 0, ...copies);
  }

  #opened(generations: readonly Generation[]): Tail[] {
    return generations.slice(0, mostTails).flatMap((generation) => {
      const file = this.#openOrSkip(generation);
      return file === undefined ? [] : [this.#tail(file, 0)];
    });
  }

  /** Opens the log for the first time. @returns whether it exists */
  #open(now: number): boolean {
    const itself = this.#itself();
    const rotated = rotatedFiles(this.path);
    const from = this.#since();
    try {
      this.#openRecorded([...itself, ...rotated]);
      const [log] = itself;
      if (log === undefined || !this.#isOpen(log.inode)) {
        const since = rotated.filter(({ inode, modified }) => modified >= from && !this.#isOpen(inode));
        const offset = this.#options.firstOffset(this.path);
        this.#tails.push(...this.#openAll([...since, ...itself], now, offset));
      }
    } catch (error) {
      // A part of the files must not be read without the others.
      this.close();
      throw error;
    }
    for (const tail of this.#tails.slice(0, -1)) tail.retired = now;
    this.exists = this.#tails.length > 0;
    if (this.exists) this.#records = [];
    return this.exists;
  }

  #openRecorded(candidates: readonly Generation[]): void {
    for (const record of this.#records) {
      // A file of which nothing was acknowledged has no content to recognise; it is read like a new one.
      if (record.offset === 0) continue;
      const found = findContent(
        candidates.filter(({ inode }) => !this.#isOpen(inode)),
        record,
      );
      if (found !== undefined) {
        this.#tails.push(this.#tail(found.file, record.offset));
        continue;
      }
      this.#lose(record.bytes - record.offset, 'it was removed or changed before it could be read');
      // What is lost is counted once. The time of the record tells which rotated files are newer.
      this.#records = this.#records.map((each) =>
        each === record ? { ...each, offset: 0, bytes: 0 } : each,
      );
    }
  }

  /** Rotated files that were written after this time, in milliseconds since the epoch, were not forwarded yet. */
  #since(): number {
    const { booted, trusted } = this.#options;
    const unread = this.#records.filter(({ offset }) => offset === 0);
    const last = unread[0]?.modified ?? this.#records.at(-1)?.modified;
    if (last === undefined) return booted;
    return trusted ? last : Math.min(last, booted);
  }

  /**
   * Opens the oldest of the files; the others follow when these are read.
   * @param offset where to begin in the log itself
   */
  #openAll(generations: readonly Generation[], now: number, offset = 0): Tail[] {
    const opened: Tail[] = [];
    try {
      for (const generation of generations.slice(0, mostTails)) {
        // An error of the log itself is reported; a rotated file that cannot be read is counted as lost.
        const isLog = generation.file === this.path;
        const file = isLog ? openLogFile(this.path) : this.#openOrSkip(generation);
        if (file !== undefined)
          opened.push(this.#tail(file, isLog && offset <= generation.bytes ? offset : 0));
      }
    } catch (error) {
      for (const tail of opened) tail.close();
      throw error;
    }
    for (const tail of opened.slice(0, -1)) tail.retired = now;
    return opened;
  }

  /** Opens a rotated file. One that cannot be read is counted as lost, once. */
  #openOrSkip(generation: Generation): LogFile | undefined {
    const file = openGeneration(generation);
    if (file !== undefined || this.#skipped.has(generation.inode)) return file;
    if (this.#skipped.size >= mostSkipped) this.#skipped.clear();
    this.#skipped.add(generation.inode);
    this.#lose(generation.bytes, `${generation.file} cannot be read`);
    return undefined;
  }

  #tail(file: LogFile, offset: number): Tail {
    return this.#made(file, () => new Tail(this.#options.nextId(), this.path, file, offset));
  }

  /** Makes a tail. Closes the file if that fails. */
  #made(file: LogFile, make: () => Tail): Tail {
    try {
      const tail = make();
      tail.audit = this.#options.audit;
      return tail;
    } catch (error) {
      file.close();
      throw error;
    }
  }

  #itself(): Generation[] {
    const stat = statLogFile(this.path);
    return stat === undefined ? [] : [{ file: this.path, ...stat }];
  }

  #isOpen(inode: string): boolean {
    return this.#tails.some((tail) => tail.inode === inode);
  }

  #closeRetired(now: number): void {
    for (const [index, tail] of this.#tails.slice(0, -1).entries()) {
      const many = this.#tails.length > mostTails;
      // Without a signal, a program goes on writing to the file that was rotated last.
      const isLatest = index === this.#tails.length - 2;
      const isQuiet = now - Math.max(tail.retired ?? now, tail.changed) >= retiredMilliseconds && !isLatest;
      if (!tail.done || (!many && !isQuiet)) continue;
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

  #lose(bytes: number, how: string): void {
    if (bytes <= 0) return;
    this.lostBytes += bytes;
    this.#options.lost(`${bytes} bytes of ${this.path} are lost, because ${how}`);
  }
}
