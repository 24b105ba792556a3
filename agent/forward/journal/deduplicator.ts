import { parseCursor } from './cursor.ts';
import type { Entry } from './entry.ts';

/**
 * Leaves out what is read a second time. When journald flushes from /run to /var it copies entries to a file with
 * an `s` of its own, and a journalctl that follows may show some of them again. journald writes in the order of
 * time, so an entry of another `s` that is not later than the last one of the same boot is such a copy.
 */
export class Repeats {
  #last: string;
  /** "s=…" of the last one. */
  #source: string;

  /** @param cursor of the last entry before the first; '' for none */
  constructor(cursor: string) {
    this.#last = cursor;
    this.#source = cursor.slice(0, 34);
  }

  without(entries: Entry[]): Entry[] {
    const kept = entries.every(({ cursor }) => cursor.startsWith(this.#source))
      ? entries
      : entries.filter((entry) => this.#isNew(entry));
    const last = kept.findLast(({ cursor }) => cursor !== '')?.cursor;
    if (last !== undefined) this.#remember(last);
    return kept;
  }

  #isNew({ cursor: text }: Entry): boolean {
    if (text === '' || text.startsWith(this.#source)) return true;
    const [cursor, last] = [parseCursor(text), parseCursor(this.#last)];
    const copy = cursor?.boot === last?.boot && cursor !== undefined && last !== undefined;
    if (copy && cursor.monotonic <= last.monotonic) return false;
    this.#remember(text);
    return true;
  }

  #remember(cursor: string): void {
    this.#last = cursor;
    this.#source = cursor.slice(0, 34);
  }
}
