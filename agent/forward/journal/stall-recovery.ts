import type { StartPosition } from '../../system/journalctl.ts';
import { cursorOfTime, parseCursor } from '../../lib/journal-export/cursor.ts';

/**
 * How long journalctl may print nothing before it is checked. The first check follows soon after a start. Later, the
 * timeout begins at `least` and is doubled after each false alarm, up to `most`.
 */
const milliseconds = { first: 2000, least: 60_000, most: 600_000 };

/** Calls back if journalctl prints nothing for too long: it is stuck, or the journal has no new entries. */
export class StallDetector {
  readonly #suspect: () => void;
  #timer: NodeJS.Timeout | undefined;
  #limit = milliseconds.first;

  constructor(suspect: () => void) {
    this.#suspect = suspect;
  }

  /** Must be called when journalctl was started. */
  start(): void {
    this.#wait(milliseconds.first);
  }

  dataReceived(): void {
    this.#timer?.refresh();
  }

  /**
   * Must be called when an entry was read after a stall or after false alarms.
   * @param soon whether to check soon, because the next entry may also be corrupt
   */
  recovered(soon: boolean): void {
    this.#wait(soon ? milliseconds.first : milliseconds.least);
  }

  /** Must be called when the check found that there was nothing to read. */
  falseAlarm(): void {
    this.#wait(Math.min(milliseconds.most, Math.max(milliseconds.least, 2 * this.#limit)));
  }

  /** Whether more than one false alarm has raised the timeout. */
  get backedOff(): boolean {
    return this.#limit > milliseconds.least;
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #wait(limit: number): void {
    this.#limit = limit;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#suspect, limit);
  }
}

/** The offset of each attempt from the time of the last entry, in microseconds. */
const offsets = [0, 1, 10, 100, 1000, 10_000, 1_000_000, 10_000_000, 600_000_000];

/**
 * Returns where to start if journalctl finds no entry after the last one although the journal has later entries. The
 * first attempt starts at the same entry, because a running journalctl does not notice a directory that was created after
 * journalctl was started.
 * @param attempts the number of attempts since an entry was read
 * @param last the last entry's cursor
 * @returns `skips`: whether this start may skip entries
 */
export function startAfterStall(attempts: number, last: string): { start: StartPosition; skips: boolean } {
  const offset = offsets[(attempts % (offsets.length + 1)) - 1];
  const cursor = parseCursor(last);
  if (offset === undefined || cursor === undefined)
    return { start: { at: 'cursor', cursor: last }, skips: false };
  return { start: { at: 'cursor', cursor: cursorOfTime(cursor, offset) }, skips: true };
}
