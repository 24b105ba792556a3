import { ownCopy } from '../../lib/memory.ts';
import type { OutgoingMessage } from '../encode/encoder.ts';

/** Messages that were sent at once, with the cursor of each message or, in sparse mode, only the last cursor. */
interface Batch {
  cursors: string[];
  /** In sparse mode: how many entries the batch completes. */
  entries: number;
  count: number;
  acknowledged: number;
}

/** The messages that were sent and are not acknowledged, in the order of sending. */
export class Unacknowledged {
  readonly #sparse: boolean;
  readonly #batches: Batch[] = [];
  /** Messages. */
  length = 0;

  /** @param sparse keeps only the last cursor of each batch, for protocols with very many unacknowledged messages */
  constructor(sparse: boolean) {
    this.#sparse = sparse;
  }

  /**
   * A cursor is a slice of the chunk in which it was read and would keep that chunk in memory until it is acknowledged.
   * Joined and split again, the cursors are slices of one short string.
   */
  add(batch: OutgoingMessage[]): void {
    const last = () => ownCopy(batch.findLast(({ cursor }) => cursor !== '')?.cursor ?? '');
    const all = () =>
      batch
        .map(({ cursor }) => cursor)
        .join('\n')
        .split('\n');
    const cursors = this.#sparse ? [last()] : all();
    const entries = this.#sparse ? batch.filter(({ cursor }) => cursor !== '').length : 0;
    this.#batches.push({ cursors, entries, count: batch.length, acknowledged: 0 });
    this.length += batch.length;
  }

  /** The oldest `count` messages are acknowledged. @returns how many entries they complete, and the last one's cursor */
  acknowledge(count: number): { entries: number; cursor: string } {
    let [rest, entries, cursor] = [count, 0, ''];
    while (rest > 0) {
      const batch = this.#batches[0];
      if (batch === undefined) break;
      const part = Math.min(rest, batch.count - batch.acknowledged);
      for (const each of this.#completed(batch, part)) {
        if (each === '') continue;
        if (!this.#sparse) entries += 1;
        cursor = each;
      }
      batch.acknowledged += part;
      if (this.#sparse && batch.acknowledged === batch.count) entries += batch.entries;
      rest -= part;
      if (batch.acknowledged === batch.count) this.#batches.shift();
    }
    this.length -= count;
    return { entries, cursor };
  }

  /** The cursors of the messages from `first` on, 0 being the oldest; '' for a message that completes no entry. */
  cursors(first: number): string[] {
    return this.#batches
      .flatMap(({ cursors, acknowledged }) => (this.#sparse ? cursors : cursors.slice(acknowledged)))
      .slice(first);
  }

  /** How many entries are not acknowledged. */
  get entries(): number {
    if (!this.#sparse) return this.cursors(0).filter((cursor) => cursor !== '').length;
    return this.#batches.reduce((sum, { entries }) => sum + entries, 0);
  }

  #completed({ cursors, count, acknowledged }: Batch, part: number): string[] {
    if (!this.#sparse) return cursors.slice(acknowledged, acknowledged + part);
    return acknowledged + part === count ? cursors : [];
  }
}
