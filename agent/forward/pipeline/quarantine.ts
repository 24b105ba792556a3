import { ownCopy } from '../../lib/memory.ts';

const times = 3;
const remembered = 1000;

/**
 * What servers would not take. A refused batch is sent again in smaller ones, until the one entry is found that
 * it is about; one that is refused three times is given up, so that it does not hold up all that follow. But a server
 * that takes nothing (its disk is full) looks the same: only where it takes a note and then not the entry, the
 * entry is to blame.
 */
export class Refusals {
  /** Messages to be sent at once. */
  limit = Number.POSITIVE_INFINITY;
  readonly #givenUp = new Set<string>();
  #suspect = '';
  #count = 0;
  /** Since the last refusal, the server has taken something. */
  #takes = false;
  /** Of the refused batch, what has not been sent again with success. */
  #rest = 0;

  /** @param cursors of the messages that the refusal may be about ('' where an entry has more messages) */
  refused(cursors: readonly string[]): void {
    this.#rest = Math.max(this.#rest, cursors.length);
    const entries = cursors.filter((cursor) => cursor !== '');
    const [only = ''] = entries;
    const takes = this.#takes;
    this.#takes = false;
    if (cursors.length > 1) this.limit = Math.max(1, Math.floor(Math.min(this.limit, cursors.length) / 16));
    if (entries.length !== 1) return;
    this.#count = only === this.#suspect ? this.#count + 1 : 1;
    this.#suspect = ownCopy(only);
    if (this.doubts(only)) {
      // The note and the entry, each by itself.
      this.#rest = Math.max(this.#rest, 2);
      this.limit = 1;
    }
    if (this.#count >= times && takes) this.giveUp(this.#suspect);
  }

  giveUp(cursor: string): void {
    if (this.#givenUp.size >= remembered) this.#givenUp.clear();
    this.#givenUp.add(ownCopy(cursor));
  }

  accepted(count: number): void {
    this.#takes = true;
    if (this.#rest === 0) return;
    this.#rest = Math.max(0, this.#rest - count);
    if (this.#rest > 0) return;
    this.limit = Number.POSITIVE_INFINITY;
    this.#count = 0;
  }

  /** Whether any entry is doubted or given up. */
  get wary(): boolean {
    return this.#count >= times - 1 || this.#givenUp.size > 0;
  }

  /** Whether a note goes before the entry, to see whether the server takes anything. */
  doubts(cursor: string): boolean {
    return this.#count >= times - 1 && cursor === this.#suspect && !this.gaveUp(cursor);
  }

  gaveUp(cursor: string): boolean {
    return this.#givenUp.has(cursor);
  }
}
