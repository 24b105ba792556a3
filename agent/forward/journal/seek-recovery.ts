import { type Cursor, cursorOfTime } from './cursor.ts';
import type { Start } from './journalctl.ts';

/** How much later the next entries are looked for, attempt by attempt, in microseconds. */
const microseconds = [0, 1, 10, 100, 1000, 10_000, 1_000_000, 10_000_000, 600_000_000];

/** Where to begin again when journalctl finds nothing after an entry though there is more. */
export class Leaps {
  #attempts = 0;

  /**
   * At first the same again: journalctl does not see a folder that was not there when it was started.
   * @returns whether entries may be passed over
   */
  next(last: string, cursor: Cursor): { start: Start; leaping: boolean } {
    const leap = microseconds[this.#attempts - 1];
    this.#attempts = (this.#attempts + 1) % (microseconds.length + 1);
    if (leap === undefined) return { start: { at: 'cursor', cursor: last }, leaping: false };
    return { start: { at: 'cursor', cursor: cursorOfTime(cursor, leap) }, leaping: true };
  }

  /** Whether it was begun again in vain since something was read. */
  get begun(): boolean {
    return this.#attempts > 0;
  }

  done(): void {
    this.#attempts = 0;
  }
}
