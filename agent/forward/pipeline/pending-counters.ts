import type { Counts } from './counters.ts';
import { parseCursor, reaches } from '../journal/cursor.ts';
import { ownCopy } from '../../lib/memory.ts';

export interface Tallied {
  key: keyof Counts;
  count: number;
}

/**
 * What is to be counted of entries that were read: once they are acknowledged, since after a broken connection they
 * are read again. In the journal's order.
 */
export class Tally {
  readonly #counts: Counts;
  readonly #waiting: (Tallied & { cursor: string })[] = [];

  constructor(counts: Counts) {
    this.#counts = counts;
  }

  /** @param cursor of the entry that it is about, or that comes after it; '' where it has none */
  add(key: keyof Counts, count: number, cursor: string): void {
    // Anybody may log what only looks like something to be counted.
    if (count > 0) this.#waiting.push({ key, count, cursor: ownCopy(cursor) });
  }

  /** All up to `cursor` is acknowledged. @returns what counts now */
  reached(cursor: string): Tallied[] {
    if (this.#waiting.length === 0) return [];
    const done = parseCursor(cursor);
    const isAhead = (each: { cursor: string }) => {
      const at = parseCursor(each.cursor);
      return at !== undefined && (done === undefined || !reaches(done, at));
    };
    const ahead = this.#waiting.findIndex(isAhead);
    const counted = this.#waiting.splice(0, ahead < 0 ? this.#waiting.length : ahead);
    for (const { key, count } of counted) this.#counts[key] += count;
    return counted;
  }
}
