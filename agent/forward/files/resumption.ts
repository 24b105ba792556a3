import type { TailRecord } from './content.ts';
import { type Generation, findContent } from './generations.ts';
import type { TailOpener } from './tail-opener.ts';
import type { Tail } from './tail.ts';

export interface ResumptionOptions {
  path: string;
  /** What was forwarded before, the oldest file first; empty if nothing is known. */
  records: readonly TailRecord[];
  /** Whether this boot wrote the records. Whoever had root in another boot may have forged those of that boot. */
  trusted: boolean;
  /** Where to begin in a log of which nothing was forwarded, in bytes. */
  firstOffset: (path: string) => number;
  /** The time of the boot, in milliseconds since the epoch: files that were rotated after it are read, too. */
  booted: number;
  opener: TailOpener;
  /** Counts lost bytes, with the reason. */
  lose: (bytes: number, why: string) => void;
}

/** Opens a log for the first time, so that reading continues after what was forwarded before. */
export class Resumption {
  /** What was forwarded before; empty once the log is open. */
  records: readonly TailRecord[];
  readonly #options: ResumptionOptions;

  constructor(options: ResumptionOptions) {
    this.#options = options;
    this.records = options.records;
  }

  /**
   * @param itself the log, unless it does not exist
   * @param rotated its rotated files, the oldest first
   * @returns the files to read, in order; none if there is none
   * @throws SystemError if a file cannot be opened at present; no file is open then
   */
  open(itself: readonly Generation[], rotated: readonly Generation[], now: number): Tail[] {
    const from = this.#since();
    const tails: Tail[] = [];
    const isOpen = (inode: string) => tails.some((tail) => tail.inode === inode);
    try {
      this.#openRecorded([...itself, ...rotated], tails);
      if (!itself.some(({ inode }) => isOpen(inode))) {
        const newer = rotated.filter(({ inode, modified }) => modified >= from && !isOpen(inode));
        const offset = this.#options.firstOffset(this.#options.path);
        tails.push(...this.#options.opener.openAll([...newer, ...itself], now, offset));
      }
    } catch (error) {
      for (const tail of tails) tail.close();
      throw error;
    }
    for (const tail of tails.slice(0, -1)) tail.retire(now);
    if (tails.length > 0) this.records = [];
    return tails;
  }

  /** Opens the files that the records describe, and counts what is lost of those that are not found. */
  #openRecorded(candidates: readonly Generation[], tails: Tail[]): void {
    for (const record of this.records) {
      // A file of which nothing was acknowledged has no content to recognise; it is read like a new one.
      if (record.offset === 0) continue;
      const left = candidates.filter(({ inode }) => !tails.some((tail) => tail.inode === inode));
      const found = findContent(left, record);
      if (found !== undefined) {
        tails.push(this.#options.opener.open(found.file, record.offset));
        continue;
      }
      this.#options.lose(record.bytes - record.offset, 'it was removed or changed before it could be read');
      // The loss is counted once. The time of the record still shows which rotated files are newer.
      const counted = { ...record, offset: 0, bytes: 0 };
      this.records = this.records.map((each) => (each === record ? counted : each));
    }
  }

  /** Rotated files that were written after this time, in milliseconds since the epoch, were not forwarded yet. */
  #since(): number {
    const { booted, trusted } = this.#options;
    const unread = this.records.find(({ offset }) => offset === 0);
    const last = unread?.modified ?? this.records.at(-1)?.modified;
    if (last === undefined) return booted;
    return trusted ? last : Math.min(last, booted);
  }
}
