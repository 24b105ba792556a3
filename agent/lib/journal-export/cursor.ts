/** The parts of an entry's cursor (systemd, sd-journal.c, sd_journal_get_cursor). */
export interface Cursor {
  /** The ID of the sequence of `sequence`. systemd 219 starts a new sequence when it flushes from /run to /var. */
  source: string;
  sequence: number;
  boot: string;
  /** Microseconds since the boot. */
  monotonic: number;
  /** Microseconds since 1970. */
  realtime: number;
  /** The hash of the entry's content. */
  hash: string;
}

const form =
  /^s=([0-9a-f]{32});i=([0-9a-f]{1,16});b=([0-9a-f]{32});m=([0-9a-f]{1,16});t=([0-9a-f]{1,16});x=([0-9a-f]{1,16})$/;

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

/** Whether both cursors refer to the same entry, even if a flush changed the entry's source and sequence number. */
export function sameEntry(one: Cursor, other: Cursor): boolean {
  return (
    one.boot === other.boot &&
    one.monotonic === other.monotonic &&
    one.realtime === other.realtime &&
    one.hash === other.hash
  );
}

/** Whether the entry `one` is the entry `other` or follows it in the journal. Both must belong to the same boot. */
export function reaches(one: Cursor, other: Cursor): boolean {
  if (one.source === other.source) return one.sequence >= other.sequence;
  return one.monotonic >= other.monotonic;
}

/**
 * Whether the entry `one` was logged after the entry `other`, also in another boot. Sequence numbers of the same source do
 * not depend on the clock.
 */
export function isLater(one: Cursor, other: Cursor): boolean {
  if (one.source === other.source) return one.sequence > other.sequence;
  return one.realtime > other.realtime;
}

/** Returns the number of entries after `one` up to `other`; null if their sequence numbers are not comparable. */
export function entriesBetween(one: Cursor | undefined, other: Cursor): number | null {
  return one?.source === other.source ? Math.max(0, other.sequence - one.sequence) : null;
}

/**
 * Returns a cursor that matches no entry, so that journalctl seeks to the first entry at or after a time of the boot.
 * Unlike a seek by sequence number, a seek by time succeeds even if the preceding entries are corrupt.
 * @param later the offset from the time of the given cursor, in microseconds
 */
export function cursorOfTime({ boot, monotonic, realtime }: Cursor, later: number): string {
  const hex = (value: number) => value.toString(16);
  return `s=${'0'.repeat(32)};i=0;b=${boot};m=${hex(monotonic + later)};t=${hex(realtime + later)};x=0`;
}
