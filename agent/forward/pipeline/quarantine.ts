import { ownCopy } from '../../lib/memory.ts';

const attempts = 3;
const longestList = 1000;

/**
 * Entries that servers refuse. A refused batch is sent again in smaller batches until the entry is found. An entry that
 * is refused three times is skipped, so that it does not block the entries after it. A server that accepts nothing
 * (its disk is full) looks the same. Therefore a notice is sent before the last attempt: only if the server accepts the
 * notice and then refuses the entry, the entry is the cause.
 */
export class Quarantine {
  /** How many messages may be sent at once. */
  batchLimit = Number.POSITIVE_INFINITY;
  readonly #entries = new Set<string>();
  #suspect = '';
  #refusals = 0;
  /** Whether the server has accepted a message since the last refusal. */
  #accepts = false;
  /** How many messages of the refused batch have not been accepted yet. */
  #remaining = 0;

  /** @param cursors of the messages that may have caused the refusal; '' for a message that completes no entry */
  refused(cursors: readonly string[]): void {
    this.#remaining = Math.max(this.#remaining, cursors.length);
    const entries = cursors.filter((cursor) => cursor !== '');
    const [only = ''] = entries;
    const accepts = this.#accepts;
    this.#accepts = false;
    if (cursors.length > 1)
      this.batchLimit = Math.max(1, Math.floor(Math.min(this.batchLimit, cursors.length) / 16));
    if (entries.length !== 1) return;
    this.#refusals = only === this.#suspect ? this.#refusals + 1 : 1;
    this.#suspect = ownCopy(only);
    if (this.isSuspect(only)) {
      // The notice and the entry, each in a batch of its own.
      this.#remaining = Math.max(this.#remaining, 2);
      this.batchLimit = 1;
    }
    if (this.#refusals >= attempts && accepts) this.add(this.#suspect);
  }

  /** From now on the entry is skipped. */
  add(cursor: string): void {
    if (this.#entries.size >= longestList) this.#entries.clear();
    this.#entries.add(ownCopy(cursor));
  }

  accepted(count: number): void {
    this.#accepts = true;
    if (this.#remaining === 0) return;
    this.#remaining = Math.max(0, this.#remaining - count);
    if (this.#remaining > 0) return;
    this.batchLimit = Number.POSITIVE_INFINITY;
    this.#refusals = 0;
  }

  /** Whether any entry is suspect or skipped. */
  get active(): boolean {
    return this.#refusals >= attempts - 1 || this.#entries.size > 0;
  }

  /** Whether a notice must be sent before the entry, to learn whether the server accepts anything. */
  isSuspect(cursor: string): boolean {
    return this.#refusals >= attempts - 1 && cursor === this.#suspect && !this.has(cursor);
  }

  has(cursor: string): boolean {
    return this.#entries.has(cursor);
  }
}
