/**
 * How long journalctl may print nothing before it is checked: right after its start, and later between the two other
 * limits, doubled after each false alarm.
 */
const milliseconds = { first: 2000, least: 60_000, most: 600_000 };

/** Calls back if journalctl has printed nothing for too long: either the journal has nothing new, or journalctl is stuck. */
export class StallDetector {
  readonly #suspect: () => void;
  #timer: NodeJS.Timeout | undefined;
  #limit = milliseconds.first;

  constructor(suspect: () => void) {
    this.#suspect = suspect;
  }

  /** journalctl was started. */
  start(): void {
    this.#wait(milliseconds.first);
  }

  dataReceived(): void {
    this.#timer?.refresh();
  }

  /** Entries come again after a stall. @param soon check soon: the next entry may be corrupt too */
  recovered(soon: boolean): void {
    this.#wait(soon ? milliseconds.first : milliseconds.least);
  }

  /** There was nothing to read. */
  falseAlarm(): void {
    this.#wait(Math.min(milliseconds.most, Math.max(milliseconds.least, 2 * this.#limit)));
  }

  /** Whether the limit has been raised by more than one false alarm. */
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
