import { ownCopy } from '../../lib/memory.ts';

const attempts = 3;
const longestList = 1000;

/**
 * Records the entries that servers refuse. A refused batch is sent again in smaller batches until the refused entry is
 * found. An entry that is refused three times is skipped, so that it does not block the entries after it. However, a
 * server whose disk is full also refuses every entry. Therefore, a notice is sent before the last attempt, and the
 * entry is skipped only if the server accepts the notice and then refuses the entry.
 */
export class Quarantine {
  batchLimit = Number.POSITIVE_INFINITY;
  readonly #entries = new Set<string>();
  #suspect = '';
  #refusals = 0;
  /** Whether the server has accepted a message since the last refusal. */
  #accepts = false;
  /** How many messages of the refused batch have not been accepted yet. */
  #remaining = 0;

  /**
   * Records a refusal.
   * @param cursors the cursors of the messages that may be the cause; '' for a message that completes no entry
   */
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
      // Send the notice and the entry in separate batches.
      this.#remaining = Math.max(this.#remaining, 2);
      this.batchLimit = 1;
    }
    if (this.#refusals >= attempts && accepts) this.add(this.#suspect);
  }

  /** Adds an entry to the entries that are skipped. */
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

  /** Whether a notice must be sent before the entry, to test whether the server accepts any message. */
  isSuspect(cursor: string): boolean {
    return this.#refusals >= attempts - 1 && cursor === this.#suspect && !this.has(cursor);
  }

  has(cursor: string): boolean {
    return this.#entries.has(cursor);
  }
}
