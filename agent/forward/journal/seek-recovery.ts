import type { StartPosition } from '../../system/journalctl.ts';
import { type Cursor, cursorOfTime } from './cursor.ts';

/** How much later each attempt searches for the next entries, in microseconds. */
const offsets = [0, 1, 10, 100, 1000, 10_000, 1_000_000, 10_000_000, 600_000_000];

/** Chooses where to start again if journalctl finds no entry after the last one although the journal has more. */
export class SeekRecovery {
  #attempts = 0;

  /**
   * The first attempt starts at the same entry: a journalctl does not see a directory that was created after its start.
   * @param last the last entry's cursor, also parsed
   * @returns whether this start may skip entries
   */
  nextStart(last: string, cursor: Cursor): { start: StartPosition; skips: boolean } {
    const offset = offsets[this.#attempts - 1];
    this.#attempts = (this.#attempts + 1) % (offsets.length + 1);
    if (offset === undefined) return { start: { at: 'cursor', cursor: last }, skips: false };
    return { start: { at: 'cursor', cursor: cursorOfTime(cursor, offset) }, skips: true };
  }

  /** Whether an attempt was made since the last entry. */
  get active(): boolean {
    return this.#attempts > 0;
  }

  /** An entry was read. */
  reset(): void {
    this.#attempts = 0;
  }
}
