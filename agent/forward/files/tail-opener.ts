import { type LogFile, statLogFile } from '../../system/log-file.ts';
import { type TailRecord, endOfLineBefore } from './content.ts';
import {
  type Found,
  type Generation,
  MovedError,
  findContent,
  hasSameInode,
  openGeneration,
  openListed,
  rotationNumber,
  rotatedFiles,
} from './generations.ts';
import { Tail } from './tail.ts';

/** The maximum number of files of one log that are open at a time. */
export const mostTails = 8;
/** How many unreadable rotated files are remembered, so that each is counted once. */
const mostSkipped = 1000;

export interface TailOpenerOptions {
  /** The name of the log. */
  path: string;
  /** Whether this is the log of auditd. */
  audit: boolean;
  nextId: () => number;
  /** What was forwarded before, the oldest file first; empty if nothing is known. */
  records: readonly TailRecord[];
  /** Whether this boot wrote the records. Whoever had root in another boot may have forged those of that boot. */
  trusted: boolean;
  /**
   * How much of a file of a log, of the log itself or of a rotated file, is on the sealed disk, in bytes. A log of which
   * nothing was forwarded is read from there.
   */
  firstOffset: (log: string, file: string) => number;
  /** Whether this boot wrote to a file of a log; undefined if only the clock can tell. */
  isOfThisBoot?: (log: string, file: Generation) => boolean | undefined;
  /** Returns the time of the boot, in milliseconds since the epoch: files that were rotated after it are read, too. */
  booted: () => number;
  lose: (bytes: number, why: string) => void;
}

export class TailOpener {
  /** What was forwarded before; empty once the log is open. */
  records: readonly TailRecord[];
  readonly #options: TailOpenerOptions;
  /** The inodes of rotated files that cannot be read. */
  readonly #skipped = new Set<string>();

  constructor(options: TailOpenerOptions) {
    this.#options = options;
    this.records = options.records;
  }

  /**
   * Opens a log for the first time, so that reading continues after what was forwarded before.
   * @param itself the log, unless it does not exist
   * @param rotated its rotated files, the oldest first
   * @returns the files to read, in order, none if there is none; and those that had to be opened without a record, of which
   *     only the first ones are open
   * @throws SystemError if a file cannot be opened at present; no file is open then
   */
  resume(
    itself: readonly Generation[],
    rotated: readonly Generation[],
    now: number,
  ): { tails: Tail[]; wanted: Generation[] } {
    const tails: Tail[] = [];
    const wanted: Generation[] = [];
    try {
      const isUnread = this.#unread();
      const last = this.#openRecorded([...itself, ...rotated], tails);
      const log = tails.find(({ inode }) => itself.some((each) => each.inode === inode));
      // A record of an earlier boot proves neither that this boot did not rotate the log nor the order of the files.
      if (log === undefined || !this.#options.trusted) {
        if (log !== undefined) tails.splice(tails.indexOf(log), 1);
        log?.close();
        // The clock may have been set back since the last record, but log.1 is newer than log.2.
        const isNewer = ({ file }: Generation) =>
          last !== undefined && rotationNumber(file) > 0 && rotationNumber(file) < rotationNumber(last.file);
        const newer = rotated.filter(
          (file) => (isUnread(file) || isNewer(file)) && !tails.some(({ inode }) => inode === file.inode),
        );
        const { path, firstOffset } = this.#options;
        const offset = log?.acknowledged ?? firstOffset(path, path);
        wanted.push(...newer, ...itself);
        tails.push(...this.openAll(wanted, now, offset));
      }
    } catch (error) {
      for (const tail of tails) tail.close();
      throw error;
    }
    for (const tail of tails.slice(0, -1)) tail.retire(now);
    if (tails.length > 0) this.records = [];
    return { tails, wanted };
  }

  /**
   * Opens the files that the records describe, and counts what is lost of those that are not found.
   * @returns the last file that was found
   */
  #openRecorded(candidates: readonly Generation[], tails: Tail[]): Generation | undefined {
    let last: Generation | undefined;
    for (const record of this.records) {
      // A file of which nothing was acknowledged has no content to recognise; it is read like a new one.
      if (record.offset === 0) continue;
      const left = candidates.filter(({ inode }) => !tails.some((tail) => tail.inode === inode));
      const found = findContent(left, record);
      if (found !== undefined) {
        tails.push(this.open(found.file, this.#acceptedOffset(found, record)));
        last = found.generation;
        continue;
      }
      this.#options.lose(record.bytes - record.offset, 'it was removed or changed before it could be read');
      // The loss is counted once. The time of the record still shows which rotated files are newer.
      const counted = { ...record, offset: 0, bytes: 0 };
      this.records = this.records.map((each) => (each === record ? counted : each));
    }
    return last;
  }

  /**
   * Returns where to continue in a file that has the content of a record. The hashes of a forged record may cover what an
   * earlier boot expected this boot to write, so they do not prove that this content was forwarded.
   */
  #acceptedOffset({ generation, file }: Found, record: TailRecord): number {
    const { path, trusted, firstOffset, booted, isOfThisBoot } = this.#options;
    const { offset } = record;
    if (trusted) return offset;
    const ofThisBoot = isOfThisBoot?.(path, generation);
    if (ofThisBoot === false) return offset;
    const sealed = Math.min(offset, firstOffset(path, generation.file));
    const mayBeForwarded = hasSameInode(generation, record) || generation.modified < booted();
    if (ofThisBoot === true || !mayBeForwarded) return sealed;
    return Math.max(sealed, endOfLineBefore(file, offset));
  }

  /** Returns a function that returns whether a rotated file without a record may contain what was not forwarded. */
  #unread(): (file: Generation) => boolean {
    const { path, trusted, booted, isOfThisBoot } = this.#options;
    const unread = this.records.find(({ offset }) => offset === 0);
    const last = unread?.modified ?? this.records.at(-1)?.modified;
    const since = booted();
    return (file) => {
      const isLater = last !== undefined && file.modified >= last;
      if (last !== undefined && trusted) return isLater;
      return isLater || (isOfThisBoot?.(path, file) ?? file.modified >= since);
    };
  }

  /**
   * Opens the oldest of the files; the others follow when these are read.
   * @param offset where to begin in the log itself
   * @throws MovedError if one of them was renamed meanwhile; none is open then
   * @throws SystemError if the log itself cannot be opened
   */
  openAll(generations: readonly Generation[], now: number, offset = 0): Tail[] {
    const opened: Tail[] = [];
    try {
      for (const generation of generations.slice(0, mostTails)) {
        // An error of the log itself is reported; a rotated file that cannot be read is counted as lost.
        const isLog = generation.file === this.#options.path;
        const file = isLog ? openListed(generation) : this.#openOrSkip(generation);
        if (file !== undefined)
          opened.push(this.open(file, isLog && offset <= generation.bytes ? offset : 0));
      }
    } catch (error) {
      for (const tail of opened) tail.close();
      throw error;
    }
    for (const tail of opened.slice(0, -1)) tail.retire(now);
    return opened;
  }

  /** Opens a rotated file. One that was removed or cannot be read is counted as lost, once. */
  #openOrSkip(generation: Generation): LogFile | undefined {
    let file: LogFile | undefined;
    try {
      file = openGeneration(generation);
    } catch (error) {
      if (!(error instanceof MovedError) || this.#exists(generation)) throw error;
      this.#options.lose(generation.bytes, 'it was removed before it could be read');
      return undefined;
    }
    if (file !== undefined || this.#skipped.has(generation.inode)) return file;
    if (this.#skipped.size >= mostSkipped) this.#skipped.clear();
    this.#skipped.add(generation.inode);
    this.#options.lose(generation.bytes, `${generation.file} cannot be read`);
    return undefined;
  }

  /** Whether a file of the log still exists, under whatever name. */
  #exists({ inode }: Generation): boolean {
    const { path } = this.#options;
    return statLogFile(path)?.inode === inode || rotatedFiles(path).some((each) => each.inode === inode);
  }

  open(file: LogFile, offset: number): Tail {
    return this.#make(this.#options.nextId, file, offset);
  }

  /** Makes a tail. Closes the file if that fails. */
  #make(id: () => number, file: LogFile, acknowledged: number, read = acknowledged): Tail {
    const { path, audit } = this.#options;
    try {
      return new Tail({ id: id(), path, audit }, file, acknowledged, read);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** Opens copies of a log that copytruncate made, the oldest first. Nothing is written to them any more. */
  openCopies(copies: readonly Generation[]): Tail[] {
    const opened = this.openAll(copies, 0);
    for (const tail of opened) tail.retire(0, true);
    return opened;
  }

  /** Returns a tail that continues another one in a file with the same content. It keeps the id, as offsets are equal. */
  continue(tail: Tail, file: LogFile): Tail {
    return this.#make(() => tail.id, file, tail.acknowledged, tail.read);
  }
}
