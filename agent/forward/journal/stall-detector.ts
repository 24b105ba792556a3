/** How long journalctl may say nothing before it is doubted: at first, and then, twice as long each time. */
const milliseconds = { first: 2000, least: 60_000, most: 600_000 };

/** Tells when a reading has been silent for too long to be believed. */
export class Silence {
  readonly #doubt: () => void;
  #timer: NodeJS.Timeout | undefined;
  #limit = milliseconds.first;

  constructor(doubt: () => void) {
    this.#doubt = doubt;
  }

  /** A reading has begun. */
  begin(): void {
    this.#wait(milliseconds.first);
  }

  heard(): void {
    this.#timer?.refresh();
  }

  /** Entries come again after a doubt. @param soon behind one broken entry there may be another */
  calm(soon: boolean): void {
    this.#wait(soon ? milliseconds.first : milliseconds.least);
  }

  /** The doubt was unfounded: there is nothing to read. */
  unfounded(): void {
    this.#wait(Math.min(milliseconds.most, Math.max(milliseconds.least, 2 * this.#limit)));
  }

  /** Whether it waits longer than it does after the first doubt. */
  get long(): boolean {
    return this.#limit > milliseconds.least;
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #wait(limit: number): void {
    this.#limit = limit;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#doubt, limit);
  }
}
