/** The parts of an entry's cursor (systemd, sd-journal.c, sd_journal_get_cursor). */
export interface Cursor {
  /** Id of the sequence that `sequence` belongs to. systemd 219 starts another one when it flushes from /run to /var. */
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

/** @returns undefined if the text is no cursor */
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

/** Whether both cursors name the same entry, even if a flush gave it another source and sequence number. */
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
 * A cursor that names no entry, so that journalctl searches for the first entry at or after a time of the boot. That
 * search works even if the entries before are corrupt; a search by sequence number does not.
 * @param later microseconds
 */
export function cursorOfTime({ boot, monotonic, realtime }: Cursor, later: number): string {
  const hex = (value: number) => value.toString(16);
  return `s=${'0'.repeat(32)};i=0;b=${boot};m=${hex(monotonic + later)};t=${hex(realtime + later)};x=0`;
}
