import type { LogEntry } from '../reader.ts';

/** The unit that a transport sends and a server acknowledges. */
export interface OutgoingMessage {
  /** One character a byte. */
  text: string;
  /** Of the entry that this message completes; '' if it completes none. */
  cursor: string;
  /** The next message continues the entry. */
  continues?: true;
}

/** Encodes entries as messages of one protocol: the second stage of the pipeline. */
export interface Encoder {
  /** Appends an entry's messages to `out`. */
  encode(entry: LogEntry, out: OutgoingMessage[]): void;
  /** Appends a message of the agent itself. */
  encodeNotice(text: string, out: OutgoingMessage[]): void;
}
