import type { ForwardCounts } from '../../facts/forwarder.ts';
import { ownCopy } from '../../lib/memory.ts';
import { parseCursor, reaches } from '../../lib/journal-export/cursor.ts';
import { isFilePosition, parseFilePosition } from '../stages.ts';

interface CounterChange {
  key: keyof ForwardCounts;
  count: number;
}

type Pending = CounterChange & { cursor: string };

/**
 * Holds changes of counters, in the order of the log, until their entries are acknowledged. Unacknowledged entries are
 * read again after a broken connection, so counting them earlier would count them twice.
 */
export class PendingCounters {
  readonly #counters: ForwardCounts;
  readonly #pending: Pending[] = [];
  /** The changes for lines of log files. Their positions are not in the order of the journal. */
  #ofFiles: Pending[] = [];

  constructor(counters: ForwardCounts) {
    this.#counters = counters;
  }

  /**
   * @param cursor the cursor of the entry or, for missing entries, of the entry after them; '' if it has no cursor. For a
   *   line of a log file, the position of its end.
   */
  add(key: keyof ForwardCounts, count: number, cursor: string): void {
    // The count is 0 if another process logged an entry that resembles journald's report of suppressed messages.
    if (count <= 0) return;
    const changes = isFilePosition(cursor) ? this.#ofFiles : this.#pending;
    changes.push({ key, count, cursor: ownCopy(cursor) });
  }

  /**
   * Counts the changes for the entries up to `cursor`, and for the lines up to each of `positions`, which are
   * acknowledged.
   * @param positions positions in log files; other cursors are ignored
   */
  acknowledged(cursor: string, positions: readonly string[]): CounterChange[] {
    const counted = [...this.#takeEntries(cursor), ...this.#takeLines(positions)];
    for (const { key, count } of counted) this.#counters[key] += count;
    return counted;
  }

  #takeEntries(cursor: string): Pending[] {
    if (this.#pending.length === 0) return [];
    const last = parseCursor(cursor);
    const isLater = (change: { cursor: string }) => {
      const at = parseCursor(change.cursor);
      return at !== undefined && (last === undefined || !reaches(last, at));
    };
    const later = this.#pending.findIndex(isLater);
    return this.#pending.splice(0, later < 0 ? this.#pending.length : later);
  }

  #takeLines(positions: readonly string[]): Pending[] {
    if (this.#ofFiles.length === 0) return [];
    const acknowledged = positions.filter(isFilePosition).map(parseFilePosition);
    const isAcknowledged = (change: Pending) => {
      const line = parseFilePosition(change.cursor);
      return acknowledged.some(({ id, offset }) => id === line.id && offset >= line.offset);
    };
    const counted = this.#ofFiles.filter(isAcknowledged);
    this.#ofFiles = this.#ofFiles.filter((change) => !counted.includes(change));
    return counted;
  }
}
