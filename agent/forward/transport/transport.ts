import type { Trace } from './connect.ts';
import type { Message } from '../encode/message.ts';
import type { Target } from './target.ts';
import type { TlsConfig } from './tls.ts';

/** What a connection tells its session. After `failed`, which comes once, it tells no more. */
export interface TransportEvents {
  /** The server has the next `count` messages, in the order of sending. */
  acknowledged(count: number): void;
  /** There may be room again without an acknowledgement. */
  drained(): void;
  /** The connection is of no more use. */
  failed(error: Error): void;
}

/** A connection that is ready for messages. */
export interface Transport {
  /** How many messages it takes now. */
  room(): number;
  /** Sends messages in order; at most `room()` of them. */
  send(messages: Message[]): void;
  listen(events: TransportEvents): void;
  /** Says goodbye, if the protocol has a way, within two seconds. All that counts was acknowledged before. */
  close(): Promise<void>;
  destroy(): void;
}

/** @throws Error saying at which step the server could not be reached, or did not want to talk */
export type Connect = (target: Target, config: TlsConfig, trace?: Trace) => Promise<Transport>;

/** The server said no to a message, or breaks off whenever it comes: sent again it would do the same. */
export class RefusedError extends Error {
  override name = 'RefusedError';
  /** The message that it is about, or the first of those it may be about: 0 is the oldest without an answer. */
  readonly first: number;
  readonly count: number;

  constructor(message: string, first: number, count: number) {
    super(message);
    this.first = first;
    this.count = count;
  }
}
