/** An entry of the journal, or a piece of an entry that is too large to be held in memory. */
export interface LogEntry {
  /**
   * `piece`: the next item continues the entry. `partial`: the journal is corrupt and journalctl stopped within the
   * entry, so the part of the entry that was read is dropped.
   */
  kind: 'entry' | 'piece' | 'partial';
  /** Identifies the entry for the checkpoint. Empty if the entry has no cursor. */
  cursor: string;
  /**
   * With all fields, the text is in the journal export format, one character per byte (latin1), including the blank
   * line that ends the entry. With selected fields, the text consists of NAME=value lines with at least these fields;
   * an entry that contains only text values is unchanged.
   */
  text: string;
  /**
   * The value of MESSAGE, one character per byte (latin1), if `text` does not contain MESSAGE because the entry is long
   * or contains a binary value.
   */
  message: string | undefined;
  /** The number of bytes that were omitted because MESSAGE exceeds the limit. */
  cut: number;
  /**
   * Set if the item consists of several entries of one source with consecutive sequence numbers. `text` is empty, and
   * `cursor` is that of the last entry. Only with all fields.
   */
  run?: Run;
}

export interface Run {
  /** The cursor of the first entry. */
  first: string;
  /** The number of entries, from 2 to `runEntries`. */
  count: number;
  /** The entries in the journal export format, as read. A text of them would be copied by the garbage collector. */
  bytes: Buffer;
}

/** The maximum number of entries in a run. A transport that takes runs must be able to send this many at once. */
export const runEntries = 1024;

/** Returns an item without `message`, of which nothing was cut. */
export function item(kind: LogEntry['kind'], cursor: string, text: string): LogEntry {
  return { kind, cursor, text, message: undefined, cut: 0 };
}

/** Returns the first value of a field, one character per byte (latin1); '' if the entry does not have the field. */
export function field(text: string, key: FieldKey): string {
  const at = text.indexOf(key);
  if (at < 0) return '';
  const from = at + key.length;
  return text.slice(from, text.indexOf('\n', from));
}

/**
 * A field's name between the preceding line feed and the equals sign. `field` cannot find `__CURSOR`, which is always
 * on the first line; use LogEntry.cursor instead.
 */
type FieldKey = `\n${string}=`;
