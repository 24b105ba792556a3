/** What an entry's cursor is made of (journal/sd-journal.c, sd_journal_get_cursor). */
export interface Cursor {
  /** The sequence of numbers that `sequence` belongs to; another after a flush from /run to /var by 219. */
  source: string;
  sequence: number;
  boot: string;
  /** Microseconds since the boot. */
  monotonic: number;
  /** Microseconds since 1970. */
  realtime: number;
  /** Of the entry's content. */
  hash: string;
}

const form =
  /^s=([0-9a-f]{32});i=([0-9a-f]{1,16});b=([0-9a-f]{32});m=([0-9a-f]{1,16});t=([0-9a-f]{1,16});x=([0-9a-f]{1,16})$/;

/** @returns undefined where the text is no cursor */
export function parseCursor(text: string): Cursor | undefined {
  const [, source, sequence, boot, monotonic, realtime, hash] = form.exec(text) ?? [];
  if (hash === undefined || source === undefined || boot === undefined) return undefined;
  const hex = (digits = '') => parseInt(digits, 16);
  return {
    source,
    sequence: hex(sequence),
    boot,
    monotonic: hex(monotonic),
    realtime: hex(realtime),
    hash,
  };
}

/** Whether both name one entry, also where a flush has given it another place: then `s` and `i` differ. */
export function sameEntry(one: Cursor, other: Cursor): boolean {
  return (
    one.boot === other.boot &&
    one.monotonic === other.monotonic &&
    one.realtime === other.realtime &&
    one.hash === other.hash
  );
}

/** Whether `one` is `other` or comes after it in the journal; only for entries of one boot. */
export function reaches(one: Cursor, other: Cursor): boolean {
  if (one.source === other.source) return one.sequence >= other.sequence;
  return one.monotonic >= other.monotonic;
}

/**
 * Names no entry, so that journalctl looks for the first one at or after a time of the boot: it finds that also
 * where the entries before it are broken, which it does not by their numbers.
 */
export function cursorOfTime({ boot, monotonic, realtime }: Cursor, later: number): string {
  const hex = (value: number) => value.toString(16);
  return `s=${'0'.repeat(32)};i=0;b=${boot};m=${hex(monotonic + later)};t=${hex(realtime + later)};x=0`;
}
