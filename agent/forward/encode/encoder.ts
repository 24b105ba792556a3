import type { LineChunk, LogEntry, Run } from '../reader.ts';

/** The unit that a transport sends and a server acknowledges. */
export interface OutgoingMessage {
  /** One character per byte (latin1). */
  text: string;
  /** The cursor of the entry that this message completes; '' if it completes no entry. */
  cursor: string;
  /** Set if the message is a run of entries. `text` is empty, and `cursor` is that of the last entry. */
  run?: Run | undefined;
  /** Set if the next message continues the same entry. */
  continues?: true;
}

/** Encodes entries as messages of one protocol. This is the second stage of the pipeline. */
export interface Encoder {
  /** Appends the messages of an entry to `out`. */
  encode(entry: LogEntry, out: OutgoingMessage[]): void;
  /** Appends the messages of the lines of a log file to `out`. The cursor of each is the position of the line's end. */
  encodeLines(chunk: LineChunk, out: OutgoingMessage[]): void;
  /** Appends a message from the agent itself to `out`. */
  encodeNotice(text: string, out: OutgoingMessage[]): void;
}
