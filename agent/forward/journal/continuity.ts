import { type LogEntry, field } from '../../lib/journal-export/entry.ts';
import { splitRuns } from './block-parser.ts';
import { parseCursor } from '../../lib/journal-export/cursor.ts';
import { syslogFields } from '../../lib/journal-export/fields.ts';
import { ExportParser } from '../../lib/journal-export/parser.ts';

/**
 * Drops entries that are read a second time. When journald flushes from /run to /var, it copies entries to a file with
 * a different source ID, and a running journalctl may print some of the copies. journald writes entries in
 * chronological order. Therefore, an entry from a different source is such a copy if it is not later than the last
 * entry of the same boot.
 */
export class Deduplicator {
  #last: string;
  /** The source ("s=…") in the last entry's cursor. */
  #source: string;

  /** @param cursor the cursor of the entry before the first entry to be read; '' if there is none */
  constructor(cursor: string) {
    this.#last = cursor;
    this.#source = cursor.slice(0, 34);
  }

  withoutRepeated(entries: LogEntry[]): LogEntry[] {
    const kept = entries.every(({ cursor }) => cursor.startsWith(this.#source))
      ? entries
      : splitRuns(entries).filter((entry) => this.#isNew(entry));
    const last = kept.findLast(({ cursor }) => cursor !== '')?.cursor;
    if (last !== undefined) this.#remember(last);
    return kept;
  }

  #isNew({ cursor: text }: LogEntry): boolean {
    if (text === '' || text.startsWith(this.#source)) return true;
    const [cursor, last] = [parseCursor(text), parseCursor(this.#last)];
    const copy = cursor?.boot === last?.boot && cursor !== undefined && last !== undefined;
    if (copy && cursor.monotonic <= last.monotonic) return false;
    this.#remember(text);
    return true;
  }

  #remember(cursor: string): void {
    this.#last = cursor;
    this.#source = cursor.slice(0, 34);
  }
}

/**
 * Counts the entries that are missing before each entry. If N sequence numbers of one source are missing, N entries
 * were vacuumed or rotated away, or their file cannot be read.
 */
export class GapDetector {
  #source = '';
  #next = 0;
  /** The prefix of the next entry's cursor if no entry is missing. */
  #expected = '';

  /** @param cursor the cursor of the entry before the first entry to be read; '' if there is none */
  constructor(cursor: string) {
    if (cursor !== '') this.missingBefore(cursor);
  }

  /**
   * @param cursor the cursor of the next entry; if the text is not a cursor, no gap is reported
   * @param count the number of entries, if the entry is the first one of a run
   * @returns the number of entries that are missing between the previous entry and this entry
   */
  missingBefore(cursor: string, count = 1): number {
    if (this.#expected !== '' && cursor.startsWith(this.#expected)) {
      this.#expect(this.#source, this.#next + count);
      return 0;
    }
    const source = cursor.slice(0, 34);
    const sequence = parseInt(cursor.slice(37, cursor.indexOf(';', 37)), 16);
    const missing = source === this.#source && sequence > this.#next ? sequence - this.#next : 0;
    this.#expect(source, sequence + count);
    return missing;
  }

  #expect(source: string, sequence: number): void {
    this.#source = source;
    this.#next = sequence;
    this.#expected = `${source};i=${sequence.toString(16)};`;
  }
}

/** The field that marks journald's reports of suppressed messages (sd-messages.h, SD_MESSAGE_JOURNAL_DROPPED). */
export const suppressionId = '\nMESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e\n';

/**
 * Returns the number of messages that journald suppressed according to an entry. Entries from other programs are
 * ignored, because any program can log this MESSAGE_ID, or a message of several lines that looks like other fields.
 * @param text the text of a complete entry that contains `suppressionId`
 */
export function suppressedCount(text: string): number {
  const [entry] = new ExportParser(syslogFields).push(Buffer.from(text, 'latin1'));
  if (entry === undefined || field(entry.text, '\n_TRANSPORT=') !== 'driver') return 0;
  const message = entry.message ?? field(entry.text, '\nMESSAGE=');
  return Number(/^Suppressed ([0-9]{1,9}) messages? /.exec(message)?.[1] ?? 0);
}
