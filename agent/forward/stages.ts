/**
 * The stages of a connection: a reader reads entries or lines, an encoder encodes them as messages, a transport sends
 * these and reports which of them the server has accepted, and the checkpoint follows. pipeline/session.ts connects them.
 */
import type { LogEntry, Run } from '../lib/journal-export/entry.ts';

/** Reads the journal or the log files, and emits its entries or lines in order. */
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

export interface JournalEvents {
  entries(entries: LogEntry[]): void;
  /** Reading begins, or begins again. An entry that was emitted only in part is emitted again from its beginning. */
  started(): void;
  /** Reports a problem that an administrator should know about, although reading continues. */
  trouble(reason: string): void;
}

/**
 * Creates the reader of the journal.
 * @param cursor the cursor of the last acknowledged entry; '' to begin with the first entry of this boot
 */
export type CreateJournalReader = (cursor: string, events: JournalEvents) => Reader;

export interface FileEvents {
  lines(chunk: LineChunk): void;
  /** Reports lost bytes, to the server as well. */
  lost(text: string): void;
}

export type CreateFileReader = (events: FileEvents) => Reader;

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

/** Identifies the end of a line for the checkpoint, like the cursor of an entry. Cursors of journald begin with a letter. */
export function filePosition(id: number, offset: number): string {
  return `${id}:${offset}`;
}

export function isFilePosition(cursor: string): boolean {
  const first = cursor.charCodeAt(0);
  return first >= 48 && first <= 57;
}

export function parseFilePosition(position: string): { id: number; offset: number } {
  const colon = position.indexOf(':');
  return { id: Number(position.slice(0, colon)), offset: Number(position.slice(colon + 1)) };
}

/** Encodes entries and lines as messages of one protocol. */
export interface Encoder {
  encode(entry: LogEntry, out: OutgoingMessage[]): void;
  /** Appends the messages of the lines of a log file to `out`. The cursor of each is the position of the line's end. */
  encodeLines(chunk: LineChunk, out: OutgoingMessage[]): void;
  /** Appends a message from the agent itself to `out`. */
  encodeNotice(text: string, out: OutgoingMessage[]): void;
}

/** The unit that a transport sends and a server acknowledges. */
export interface OutgoingMessage {
  /** One character per byte (latin1). */
  text: string;
  /** The cursor of the entry, or the position of the line, that this message completes; '' if it completes none. */
  cursor: string;
  /** Set if the message is a run of entries. `text` is empty, and `cursor` is that of the last entry. */
  run?: Run | undefined;
  /** Set if the next message continues the same entry. */
  continues?: true;
}

/** Sends messages over one connection and reports acknowledgements. */
export interface Transport {
  /** Returns how many messages can be sent now. */
  capacity(): number;
  /**
   * Sends messages in order. Their number must not exceed `capacity()`.
   * @param separate whether these messages must be accepted or refused separately from later ones, if the protocol
   *   acknowledges several messages together
   */
  send(messages: OutgoingMessage[], separate: boolean): void;
  listen(events: TransportEvents): void;
  /** Ends the session with the server within two seconds. Every message must have been acknowledged before the call. */
  close(): Promise<void>;
  destroy(): void;
}

/** The events of a connection. `failed` is reported at most once, and no event follows it. */
export interface TransportEvents {
  /** The server has accepted the next `count` messages, in the order in which they were sent. */
  acknowledged(count: number): void;
  /** The capacity may have increased without an acknowledgement. */
  drained(): void;
  failed(error: Error): void;
}

/** The server refused a message, or closed the connection, possibly because of the message. */
export class RefusedError extends Error {
  override name = 'RefusedError';
  /** The index of the first message that may be the cause. The oldest unacknowledged message has the index 0. */
  readonly first: number;
  readonly count: number;

  constructor(message: string, first: number, count: number) {
    super(message);
    this.first = first;
    this.count = count;
  }
}
