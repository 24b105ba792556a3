/**
 * Reads a log and emits its entries in order: the first stage of the pipeline (reader, encoder, transport,
 * checkpoint). The journal's is journal/journal-reader.ts.
 */
export interface Reader {
  start(): void;
  /** Stops the input while the send queue is full. */
  pause(): void;
  resume(): void;
  /** Ends reading; no event follows. */
  stop(): void;
  /** Whether the reader has reached the log's end at least once since it was last started. */
  readonly settled: boolean;
  /** Why the log cannot be read; '' if it can. */
  readonly problem: string;
}

export interface ReaderEvents {
  entries(entries: LogEntry[]): void;
  /** A problem that an administrator should know of, although reading continues. */
  trouble(reason: string): void;
}

/** Creates a reader. @param cursor of the last acknowledged entry; '' to begin with the first entry of this boot */
export type CreateReader = (cursor: string, events: ReaderEvents) => Reader;

/** An entry, or a piece of an entry that is too large to be held in memory. */
export interface LogEntry {
  /**
   * `piece`: the next item continues the entry. `partial`: the journal is corrupt and journalctl stopped within the
   * entry; the bytes that were read of the entry are dropped.
   */
  kind: 'entry' | 'piece' | 'partial';
  /** Identifies the entry for the checkpoint. Empty if the entry has no cursor. */
  cursor: string;
  /**
   * With all fields: the bytes of the journal export format, one character a byte, with the blank line that ends the
   * entry. With the syslog fields: lines NAME=value of at least these fields; an entry of plain text is not changed.
   */
  text: string;
  /** MESSAGE if `text` does not contain it because it is long or not plain text; one character a byte. */
  message: string | undefined;
  /** How many bytes of MESSAGE were left out because it is longer than the limit. */
  cut: number;
}

/** Which fields an encoder needs: all of them unchanged, or those of a syslog message. */
export type FieldSelection = 'all' | 'syslog';

/** The first value of a field, one character a byte; '' if the entry does not have the field. */
export function field(text: string, key: FieldKey): string {
  const at = text.indexOf(key);
  if (at < 0) return '';
  const from = at + key.length;
  return text.slice(from, text.indexOf('\n', from));
}

/**
 * A field's name as it stands in the text, after a line feed. `__CURSOR` is always the first line and therefore cannot
 * be found in this way: use LogEntry.cursor.
 */
export type FieldKey = `\n${string}=`;
