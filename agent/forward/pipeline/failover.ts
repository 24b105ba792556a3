import type { Target } from '../transport/target.ts';

/** When a better server than the one in use is tried, in milliseconds; then half as often, down to the longest. */
const firstReturn = 10_000;
const longestReturn = 60_000;
/** The same of one that answers and then takes nothing. */
const longestPatience = 600_000;

/** Which of the servers of FORWARD comes next: the preferred one is the first, but for one that takes nothing. */
export class Preference {
  readonly #targets: Target[];
  /** Answered last, and took nothing: the others come before it. */
  #useless: Target | undefined;
  #patience = firstReturn;

  constructor(targets: Target[]) {
    this.#targets = targets;
  }

  inOrder(): Target[] {
    const useless = (target: Target) => target === this.#useless;
    return [...this.#targets.filter((target) => !useless(target)), ...this.#targets.filter(useless)];
  }

  better(target: Target): Target[] {
    return this.#targets.slice(0, this.#targets.indexOf(target));
  }

  took(target: Target): void {
    this.#useless = undefined;
    if (target === this.#targets[0]) this.#patience = firstReturn;
  }

  tookNothing(target: Target): void {
    this.#useless = target;
    this.#patience = Math.min(longestPatience, 2 * this.#patience);
  }

  /** @param last milliseconds; 0 where no better server was tried yet. @returns when one is to be tried */
  pause(last: number): number {
    return Math.max(this.#patience, Math.min(longestReturn, 2 * last));
  }
}
