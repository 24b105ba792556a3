import type { ForwardCounts } from '../../facts/forwarder.ts';
import { ownCopy } from '../../lib/memory.ts';
import { parseCursor, reaches } from '../journal/cursor.ts';

/** Counts entries by their outcome since the daemon was started. */
export type Counters = ForwardCounts;

export function zeroCounters(): Counters {
  return { acknowledged: 0, repeated: 0, lost: 0, corrupt: 0, refused: 0, cut: 0, suppressed: 0 };
}

export interface CounterChange {
  key: keyof Counters;
  count: number;
}

/**
 * Holds changes of counters, in the order of the log, until their entries are acknowledged. Unacknowledged entries are
 * read again after a broken connection, so counting them earlier would count them twice.
 */
export class PendingCounters {
  readonly #counters: Counters;
  readonly #pending: (CounterChange & { cursor: string })[] = [];

  constructor(counters: Counters) {
    this.#counters = counters;
  }

  /** @param cursor the cursor of the entry or, for missing entries, of the entry after them; '' if it has no cursor */
  add(key: keyof Counters, count: number, cursor: string): void {
    // The count is 0 if another process logged an entry that resembles journald's report of suppressed messages.
    if (count > 0) this.#pending.push({ key, count, cursor: ownCopy(cursor) });
  }

  /**
   * Counts the changes for the entries up to `cursor`, which are acknowledged.
   * @returns the changes that were counted
   */
  acknowledged(cursor: string): CounterChange[] {
    if (this.#pending.length === 0) return [];
    const last = parseCursor(cursor);
    const isLater = (change: { cursor: string }) => {
      const at = parseCursor(change.cursor);
      return at !== undefined && (last === undefined || !reaches(last, at));
    };
    const later = this.#pending.findIndex(isLater);
    const counted = this.#pending.splice(0, later < 0 ? this.#pending.length : later);
    for (const { key, count } of counted) this.#counters[key] += count;
    return counted;
  }
}
