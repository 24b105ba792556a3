import type { ForwardCounts } from '../../facts/forwarder.ts';
import { ownCopy } from '../../lib/memory.ts';
import { parseCursor, reaches } from '../journal/cursor.ts';

/** What happened to entries since the daemon was started. */
export type Counters = ForwardCounts;

export function zeroCounters(): Counters {
  return { acknowledged: 0, repeated: 0, lost: 0, corrupt: 0, refused: 0, cut: 0, suppressed: 0 };
}

export interface CounterChange {
  key: keyof Counters;
  count: number;
}

/**
 * Changes of counters that wait, in the order of the log, until their entry is acknowledged: after a broken connection,
 * unacknowledged entries are read again and would be counted twice.
 */
export class PendingCounters {
  readonly #counters: Counters;
  readonly #pending: (CounterChange & { cursor: string })[] = [];

  constructor(counters: Counters) {
    this.#counters = counters;
  }

  /** @param cursor of the entry concerned or, for missing entries, of the one after them; '' if it has none */
  add(key: keyof Counters, count: number, cursor: string): void {
    // Any process can log an entry that only resembles journald's report of suppressed messages: its count is 0.
    if (count > 0) this.#pending.push({ key, count, cursor: ownCopy(cursor) });
  }

  /** Everything up to `cursor` is acknowledged. @returns the changes that were counted now */
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
