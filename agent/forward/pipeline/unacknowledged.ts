import { ownCopy } from '../../lib/memory.ts';
import type { Message } from '../encode/message.ts';

/** Messages that were sent in one go: the cursor of each, or, where none is answered by itself, the last one. */
interface Batch {
  cursors: string[];
  /** Entries that end with it, where only the last one's cursor is kept. */
  entries: number;
  count: number;
  answered: number;
}

/** What was sent and has no answer yet, in the order of sending. */
export class InFlight {
  readonly #sparse: boolean;
  readonly #batches: Batch[] = [];
  /** Messages. */
  length = 0;

  /** @param sparse only the last cursor of each batch is kept: very many messages are in flight */
  constructor(sparse: boolean) {
    this.#sparse = sparse;
  }

  /**
   * A cursor is a slice of the chunk that it was read in, and would keep all of that in memory until the answer:
   * joined and split again, cursors are slices of each other and of nothing else.
   */
  add(batch: Message[]): void {
    const last = () => ownCopy(batch.findLast(({ cursor }) => cursor !== '')?.cursor ?? '');
    const all = () =>
      batch
        .map(({ cursor }) => cursor)
        .join('\n')
        .split('\n');
    const cursors = this.#sparse ? [last()] : all();
    const entries = this.#sparse ? batch.filter(({ cursor }) => cursor !== '').length : 0;
    this.#batches.push({ cursors, entries, count: batch.length, answered: 0 });
    this.length += batch.length;
  }

  /** The oldest `count` messages have an answer. @returns how many entries they end, and the last one's cursor */
  answer(count: number): { entries: number; cursor: string } {
    let [rest, entries, cursor] = [count, 0, ''];
    while (rest > 0) {
      const batch = this.#batches[0];
      if (batch === undefined) break;
      const part = Math.min(rest, batch.count - batch.answered);
      for (const each of this.#ended(batch, part)) {
        if (each === '') continue;
        if (!this.#sparse) entries += 1;
        cursor = each;
      }
      batch.answered += part;
      if (this.#sparse && batch.answered === batch.count) entries += batch.entries;
      rest -= part;
      if (batch.answered === batch.count) this.#batches.shift();
    }
    this.length -= count;
    return { entries, cursor };
  }

  /** The cursors of the messages from `first` on, the oldest without an answer being 0; '' where an entry goes on. */
  cursors(first: number): string[] {
    return this.#batches
      .flatMap(({ cursors, answered }) => (this.#sparse ? cursors : cursors.slice(answered)))
      .slice(first);
  }

  /** How many entries have no answer. */
  get entries(): number {
    if (!this.#sparse) return this.cursors(0).filter((cursor) => cursor !== '').length;
    return this.#batches.reduce((sum, { entries }) => sum + entries, 0);
  }

  #ended({ cursors, count, answered }: Batch, part: number): string[] {
    if (!this.#sparse) return cursors.slice(answered, answered + part);
    return answered + part === count ? cursors : [];
  }
}
