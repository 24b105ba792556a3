import type { StartPosition } from '../../system/journalctl.ts';
import { type Cursor, cursorOfTime } from './cursor.ts';

/** The offset of each attempt from the time of the last entry, in microseconds. */
const offsets = [0, 1, 10, 100, 1000, 10_000, 1_000_000, 10_000_000, 600_000_000];

/** Chooses where to restart if journalctl finds no entry after the last one although the journal has later entries. */
export class SeekRecovery {
  #attempts = 0;

  /**
   * Returns the next start position. The first attempt starts at the same entry, because a running journalctl does not
   * notice a directory that was created after journalctl was started.
   * @param last the last entry's cursor
   * @param cursor the same cursor, parsed
   * @returns `skips`: whether this start may skip entries
   */
  nextStart(last: string, cursor: Cursor): { start: StartPosition; skips: boolean } {
    const offset = offsets[this.#attempts - 1];
    this.#attempts = (this.#attempts + 1) % (offsets.length + 1);
    if (offset === undefined) return { start: { at: 'cursor', cursor: last }, skips: false };
    return { start: { at: 'cursor', cursor: cursorOfTime(cursor, offset) }, skips: true };
  }

  /** Whether an attempt was made since the last entry was read. */
  get active(): boolean {
    return this.#attempts > 0;
  }

  /** Must be called when an entry was read. */
  reset(): void {
    this.#attempts = 0;
  }
}
