/**
 * Reads a log and emits its entries in order. This is the first stage of the pipeline (reader, encoder, transport,
 * checkpoint). The reader of the journal is journal/journal-reader.ts.
 */
export interface Reader {
  start(): void;
  /** Pauses reading while the send queue is full. */
  pause(): void;
  resume(): void;
  /** Ends reading. No further event is emitted. */
  stop(): void;
  /** Whether the reader has reached the end of the log at least once since it was last started. */
  readonly settled: boolean;
  /** The reason why the log cannot be read; '' if it can be read. */
  readonly problem: string;
}

export interface ReaderEvents {
  entries(entries: LogEntry[]): void;
  /** Reading begins, or begins again. An entry that was emitted only in part is emitted again from its beginning. */
  started(): void;
  /** Reports a problem that an administrator should know about, although reading continues. */
  trouble(reason: string): void;
}

/**
 * Creates a reader.
 * @param cursor the cursor of the last acknowledged entry; '' to begin with the first entry of this boot
 */
export type CreateReader = (cursor: string, events: ReaderEvents) => Reader;

/** An entry, or a piece of an entry that is too large to be held in memory. */
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
   * line that ends the entry. With the syslog fields, the text consists of NAME=value lines with at least these fields;
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

/** Consecutive lines of a log file. */
export interface LineChunk {
  /** Identifies the file within this process. */
  id: number;
  /** The name of the log, also for a file that was renamed. */
  path: string;
  inode: string;
  /** The offset of the first byte in the file. */
  offset: number;
  /** One character per byte (latin1). Every line ends with a line feed, except if `terminated` is false. */
  text: string;
  /** Whether the last line is complete. An incomplete one is as long as a line may be, or was not continued for a while. */
  terminated: boolean;
  /**
   * Whether the file is the log of auditd. The lines of any other log are never records of the audit trail, whatever
   * they contain, because whoever may write to the log could forge records.
   */
  audit: boolean;
}

/** Receives the lines of log files. */
export interface FileReaderEvents {
  lines(chunk: LineChunk): void;
  /** Reports lost bytes, to the server as well. */
  lost(text: string): void;
}

export type CreateFileReader = (events: FileReaderEvents) => Reader;

/** Identifies the end of a line for the checkpoint. Cursors of journald begin with a letter. */
export function filePosition(id: number, offset: number): string {
  return `${id}:${offset}`;
}

/** Whether a cursor is the position of a line in a file. */
export function isFilePosition(cursor: string): boolean {
  const first = cursor.charCodeAt(0);
  return first >= 48 && first <= 57;
}

/** Whether an encoder needs all fields unchanged, or only the fields of a syslog message. */
export type FieldSelection = 'all' | 'syslog';

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
export type FieldKey = `\n${string}=`;
