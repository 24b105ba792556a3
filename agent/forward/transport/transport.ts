import type { SystemReader } from '../../system/reader.ts';
import type { OutgoingMessage } from '../encode/encoder.ts';
import type { Target } from './target.ts';
import type { TlsConfig } from './tls.ts';

/** Sends messages over one connection and reports what the server acknowledges: the third stage of the pipeline. */
export interface Transport {
  /** How many messages it accepts now. */
  capacity(): number;
  /** Sends messages in order; at most `capacity()` of them. */
  send(messages: OutgoingMessage[]): void;
  listen(events: TransportEvents): void;
  /** Ends the session with the server, within two seconds. Everything must have been acknowledged before. */
  close(): Promise<void>;
  destroy(): void;
}

/** The events of a connection. `failed` comes once, and no event follows it. */
export interface TransportEvents {
  /** The server has accepted the next `count` messages, in the order of sending. */
  acknowledged(count: number): void;
  /** The capacity may have grown without an acknowledgement. */
  drained(): void;
  failed(error: Error): void;
}

/** @throws Error with the step that failed */
export type Connect = (target: Target, options: ConnectOptions) => Promise<Transport>;

export interface ConnectOptions {
  config: TlsConfig;
  /** Reads the TLS files. */
  reader: SystemReader;
  /** Ends the attempt, and a TCP connection that came of it. */
  signal?: AbortSignal;
  /** Receives each step (`forward --test`). */
  trace?: Trace;
}

export type Trace = (step: string, detail: string) => void;

/** The server refused a message, or closes the connection whenever it receives the message. */
export class RefusedError extends Error {
  override name = 'RefusedError';
  /** The refused message, or the first of those that may be the cause: 0 is the oldest unacknowledged message. */
  readonly first: number;
  readonly count: number;

  constructor(message: string, first: number, count: number) {
    super(message);
    this.first = first;
    this.count = count;
  }
}
