/**
 * Counts the entries that are missing before each entry: a jump in `i` within one `s` is that many entries
 * which were in the journal and are gone (vacuumed, rotated away, or in a file that cannot be read).
 */
export class GapCounter {
  #source = '';
  #next = 0;
  /** How the cursor of the next entry begins where nothing is missing. */
  #expected = '';

  /** @param cursor of the entry before the first; '' where there is none to count from */
  constructor(cursor: string) {
    if (cursor !== '') this.count(cursor);
  }

  /**
   * @param cursor of the next entry, whole; what is no cursor counts as nothing missing
   * @returns how many entries are missing between the one before and this one
   */
  count(cursor: string): number {
    if (this.#expected !== '' && cursor.startsWith(this.#expected)) {
      this.#expect(this.#source, this.#next + 1);
      return 0;
    }
    const source = cursor.slice(0, 34);
    const sequence = parseInt(cursor.slice(37, cursor.indexOf(';', 37)), 16);
    const missing = source === this.#source && sequence > this.#next ? sequence - this.#next : 0;
    this.#expect(source, sequence + 1);
    return missing;
  }

  #expect(source: string, sequence: number): void {
    this.#source = source;
    this.#next = sequence;
    this.#expected = `${source};i=${sequence.toString(16)};`;
  }
}
