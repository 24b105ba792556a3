const shortest = 1000;
const longest = 30_000;

/** Pauses between attempts: from one second, twice as long each time up to half a minute, never given up. */
export class Backoff {
  #failures = 0;

  /** @param random from 0 to 1: many guests must not come back to a server in one moment */
  next(random = Math.random()): number {
    const pause = Math.min(longest, shortest * 2 ** this.#failures);
    this.#failures = Math.min(10, this.#failures + 1);
    return pause * (0.75 + random / 4);
  }

  reset(): void {
    this.#failures = 0;
  }
}
