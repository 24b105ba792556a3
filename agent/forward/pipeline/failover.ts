import type { Target } from '../../config/forward-target.ts';

/**
 * The first and the maximum interval between attempts to connect to a server that is preferred over the current one, in
 * milliseconds. The interval is doubled after each attempt.
 */
const firstReturn = 10_000;
const longestReturn = 60_000;
/** The maximum interval if the preferred server accepts connections but no entries. */
const longestPatience = 600_000;

/** Chooses a server from FORWARD: the first server, unless it accepted no entries when it was last used. */
export class Failover {
  readonly #targets: Target[];
  /** The server that was used last, if it accepted no entry. It is tried after all other servers. */
  #unproductive: Target | undefined;
  #patience = firstReturn;

  constructor(targets: Target[]) {
    this.#targets = targets;
  }

  order(): Target[] {
    const last = (target: Target) => target === this.#unproductive;
    return [...this.#targets.filter((target) => !last(target)), ...this.#targets.filter(last)];
  }

  preferredOver(target: Target): Target[] {
    return this.#targets.slice(0, this.#targets.indexOf(target));
  }

  delivered(target: Target): void {
    this.#unproductive = undefined;
    if (target === this.#targets[0]) this.#patience = firstReturn;
  }

  /** Records that the connection ended before the server acknowledged an entry. */
  deliveredNothing(target: Target): void {
    this.#unproductive = target;
    this.#patience = Math.min(longestPatience, 2 * this.#patience);
  }

  /**
   * @param last the previous interval; 0 if no preferred server was tried yet
   * @returns the time until a preferred server is tried, in milliseconds
   */
  returnDelay(last: number): number {
    return Math.max(this.#patience, Math.min(longestReturn, 2 * last));
  }
}

const shortestPause = 1000;
const longestPause = 30_000;

/**
 * Computes the pauses between attempts to connect. They start at one second and are doubled up to 30 seconds. The
 * number of attempts is not limited.
 */
export class Backoff {
  #failures = 0;

  /**
   * @param random from 0 to 1; shortens the pause so that many guests do not reconnect to a server at the same time
   * @returns the next pause, in milliseconds
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
