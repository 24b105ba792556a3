import type { LogEntry } from '../../lib/journal-export/entry.ts';
import { splitRuns } from './block-parser.ts';
import { parseCursor } from '../../lib/journal-export/cursor.ts';

/**
 * Drops entries that are read a second time. When journald flushes from /run to /var, it copies entries to a file with
 * a different source ID, and a running journalctl may print some of the copies. journald writes entries in
 * chronological order. Therefore, an entry from a different source is such a copy if it is not later than the last
 * entry of the same boot.
 */
export class Deduplicator {
  #last: string;
  /** The source ("s=…") in the last entry's cursor. */
  #source: string;

  /** @param cursor the cursor of the entry before the first entry to be read; '' if there is none */
  constructor(cursor: string) {
    this.#last = cursor;
    this.#source = cursor.slice(0, 34);
  }

  withoutRepeated(entries: LogEntry[]): LogEntry[] {
    const kept = entries.every(({ cursor }) => cursor.startsWith(this.#source))
      ? entries
      : splitRuns(entries).filter((entry) => this.#isNew(entry));
    const last = kept.findLast(({ cursor }) => cursor !== '')?.cursor;
    if (last !== undefined) this.#remember(last);
    return kept;
  }

  #isNew({ cursor: text }: LogEntry): boolean {
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
