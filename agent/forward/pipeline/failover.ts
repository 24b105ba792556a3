import type { Target } from '../transport/target.ts';

/**
 * When to try a server that is preferred over the current one, in milliseconds: first, and at most after doubling the
 * interval.
 */
const firstReturn = 10_000;
const longestReturn = 60_000;
/** The longest interval if the preferred server accepts connections but no entries. */
const longestPatience = 600_000;

/** Chooses among the servers of FORWARD: the first one, unless it accepted no entries when it was last used. */
export class Failover {
  readonly #targets: Target[];
  /** Answered last and accepted no entry: tried after all others. */
  #unproductive: Target | undefined;
  #patience = firstReturn;

  constructor(targets: Target[]) {
    this.#targets = targets;
  }

  /** The servers in the order in which they are to be tried. */
  order(): Target[] {
    const last = (target: Target) => target === this.#unproductive;
    return [...this.#targets.filter((target) => !last(target)), ...this.#targets.filter(last)];
  }

  preferredOver(target: Target): Target[] {
    return this.#targets.slice(0, this.#targets.indexOf(target));
  }

  /** The server has acknowledged entries. */
  delivered(target: Target): void {
    this.#unproductive = undefined;
    if (target === this.#targets[0]) this.#patience = firstReturn;
  }

  /** The connection ended before the server acknowledged an entry. */
  deliveredNothing(target: Target): void {
    this.#unproductive = target;
    this.#patience = Math.min(longestPatience, 2 * this.#patience);
  }

  /**
   * @param last the previous interval; 0 if no preferred server was tried yet
   * @returns milliseconds until a preferred server is tried
   */
  returnDelay(last: number): number {
    return Math.max(this.#patience, Math.min(longestReturn, 2 * last));
  }
}

const shortestPause = 1000;
const longestPause = 30_000;

/** Pauses between attempts to connect: from one second, doubled up to half a minute, without end. */
export class Backoff {
  #failures = 0;

  /**
   * @param random from 0 to 1, so that many guests do not return to a server at the same moment
   * @returns milliseconds
   */
  next(random = Math.random()): number {
    const pause = Math.min(longestPause, shortestPause * 2 ** this.#failures);
    this.#failures = Math.min(10, this.#failures + 1);
    return pause * (0.75 + random / 4);
  }

  reset(): void {
    this.#failures = 0;
  }
}
