import { ownCopy } from './memory.ts';

const times = 3;
const remembered = 1000;

/**
 * What servers would not take. A refused batch is sent again in smaller ones, until the one entry is found that
 * it is about; one that is refused three times is given up, so that it does not hold up all that follow.
 */
export class Refusals {
  /** Messages to be sent at once. */
  limit = Number.POSITIVE_INFINITY;
  readonly #givenUp = new Set<string>();
  #suspect = '';
  #count = 0;
  /** Of the refused batch, what has not been sent again with success. */
  #rest = 0;

  /** @param cursors of the messages that the refusal may be about ('' where an entry has more messages) */
  refused(cursors: readonly string[]): void {
    this.#rest = Math.max(this.#rest, cursors.length);
    const entries = cursors.filter((cursor) => cursor !== '');
    const [only = ''] = entries;
    if (cursors.length > 1) this.limit = Math.max(1, Math.floor(Math.min(this.limit, cursors.length) / 16));
    if (entries.length !== 1) return;
    this.#count = only === this.#suspect ? this.#count + 1 : 1;
    this.#suspect = only;
    if (this.#count < times) return;
    if (this.#givenUp.size >= remembered) this.#givenUp.clear();
    this.#givenUp.add(ownCopy(only));
  }

  accepted(count: number): void {
    if (this.#rest === 0) return;
    this.#rest = Math.max(0, this.#rest - count);
    if (this.#rest === 0) this.limit = Number.POSITIVE_INFINITY;
  }

  gaveUp(cursor: string): boolean {
    return this.#givenUp.size > 0 && this.#givenUp.has(cursor);
  }
}
