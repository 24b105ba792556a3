/**
 * Counts the entries that are missing before each entry. A jump in the sequence number within one source means that
 * so many entries were in the journal and are gone: vacuumed, rotated away, or in a file that cannot be read.
 */
export class GapDetector {
  #source = '';
  #next = 0;
  /** How the next entry's cursor begins if no entry is missing. */
  #expected = '';

  /** @param cursor of the entry before the first one; '' if there is none */
  constructor(cursor: string) {
    if (cursor !== '') this.missingBefore(cursor);
  }

  /**
   * @param cursor of the next entry; a text that is no cursor counts as no gap
   * @returns how many entries are missing between the previous entry and this one
   */
  missingBefore(cursor: string): number {
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

/** The field of an entry with which journald reports that it suppressed messages (sd-messages.h, SD_MESSAGE_JOURNAL_DROPPED). */
export const suppressionId = '\nMESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e\n';

/**
 * How many messages journald suppressed. Entries of other programs are ignored: any program can log this MESSAGE_ID.
 * @param text of an entry with `suppressionId`
 */
export function suppressedCount(text: string): number {
  if (!text.includes('\n_TRANSPORT=driver\n')) return 0;
  return Number(/\nMESSAGE=Suppressed ([0-9]{1,9}) messages? /.exec(text)?.[1] ?? 0);
}
