import type { SystemReader } from '../../system/reader.ts';
import type { OutgoingMessage } from '../encode/encoder.ts';
import type { Target } from './target.ts';
import type { TlsConfig } from './tls.ts';

/** Sends messages over one connection and reports acknowledgements. This is the third stage of the pipeline. */
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

/** Connects to a server. @throws Error that describes the failed step */
export type Connect = (target: Target, options: ConnectOptions) => Promise<Transport>;

export interface ConnectOptions {
  config: TlsConfig;
  /** Reads the TLS files. */
  reader: SystemReader;
  /** Aborts the attempt to connect, and closes the resulting TCP connection. */
  signal?: AbortSignal;
  /** Is called for each step (`forward --test`). */
  trace?: Trace;
}

export type Trace = (step: string, detail: string) => void;

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
