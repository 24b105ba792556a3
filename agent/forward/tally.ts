import type { Counts } from './counts.ts';
import { parseCursor, reaches } from './cursor.ts';

export interface Tallied {
  key: keyof Counts;
  count: number;
}

/**
 * What is to be counted of entries that were read: once they are acknowledged, since after a broken connection they
 * are read again.
 */
export class Tally {
  readonly #counts: Counts;
  #waiting: (Tallied & { cursor: string })[] = [];

  constructor(counts: Counts) {
    this.#counts = counts;
  }

  /** @param cursor of the entry that it is about, or that comes after it */
  add(key: keyof Counts, count: number, cursor: string): void {
    this.#waiting.push({ key, count, cursor });
  }

  /** All up to `cursor` is acknowledged. @returns what counts now */
  reached(cursor: string): Tallied[] {
    if (this.#waiting.length === 0) return [];
    const done = parseCursor(cursor);
    const isDone = (each: { cursor: string }) => {
      const at = parseCursor(each.cursor);
      return at === undefined || (done !== undefined && reaches(done, at));
    };
    const counted = this.#waiting.filter(isDone);
    this.#waiting = this.#waiting.filter((each) => !isDone(each));
    for (const { key, count } of counted) this.#counts[key] += count;
    return counted;
  }
}
