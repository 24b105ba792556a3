import type net from 'node:net';
import type { OutgoingMessage, Transport, TransportEvents } from '../stages.ts';
import { type ConnectOptions, Connection, connectMilliseconds, connectSocket } from './connection.ts';
import { RelpDialogue } from './relp-dialogue.ts';
import type { Target } from './target.ts';

/**
 * The maximum number of messages that are unacknowledged or not yet saved. In measurements, librelp's default of 128 is
 * much slower.
 */
export const relpWindow = 1024;
/**
 * Less than the window, so that acknowledgements that are not yet saved in the checkpoint do not prevent sending.
 * Otherwise, each batch of acknowledgements could take 40 ms longer: the server's kernel holds back further
 * acknowledgements until TCP has confirmed the first one (Nagle's algorithm), and the guest's kernel delays this
 * confirmation by 40 ms unless it can send it together with a message (delayed ACK).
 */
const relpUnacknowledged = 768;
/** The maximum length of a message. imrelp silently truncates a message, including its own header, to 8192 bytes. */
export const relpMessageBytes = 8000;
/** The timeout for an acknowledgement. Even a slow server acknowledges at least one message within this time. */
const progressMilliseconds = 60_000;

/** Opens a RELP session. @throws Error that describes the failed step */
export async function connectRelp(target: Target, options: ConnectOptions): Promise<Transport> {
  const relp = new RelpTransport(await connectSocket(target, options));
  try {
    const software = await relp.open();
    options.trace?.('protocol', `RELP session with ${software}`);
    return relp;
  } catch (error) {
    relp.destroy();
    throw error;
  }
}

class RelpTransport implements Transport {
  readonly #dialogue = new RelpDialogue();
  readonly #connection: Connection;
  readonly #progress: NodeJS.Timeout;
  #opened: ((software: string) => void) | undefined;

  constructor(socket: net.Socket) {
    this.#connection = new Connection(socket, (chunk) => this.#receive(chunk));
    this.#progress = setTimeout(() => {
      if (this.#dialogue.unacknowledged === 0) return;
      this.#connection.fail(new Error(`no acknowledgement for ${progressMilliseconds / 1000} s`));
    }, progressMilliseconds).unref();
  }

  /** Opens the session. @returns the name of the server's software */
  open(): Promise<string> {
    return new Promise((resolve, reject) => {
      const late = () =>
        this.#connection.fail(new Error(`no RELP response within ${connectMilliseconds / 1000} s`));
      const timer = setTimeout(late, connectMilliseconds);
      this.#opened = (software) => {
        clearTimeout(timer);
        resolve(software);
      };
      this.#connection.onFailure = (error) => {
        clearTimeout(timer);
        reject(error);
      };
      this.#connection.socket.write(this.#dialogue.open(), 'latin1');
    });
  }

  listen(events: TransportEvents): void {
    this.#connection.listen(events);
  }

  capacity(): number {
    return relpUnacknowledged - this.#dialogue.unacknowledged;
  }

  send(messages: OutgoingMessage[]): void {
    if (this.#dialogue.unacknowledged === 0) this.#progress.refresh();
    this.#connection.socket.write(this.#dialogue.messages(messages), 'latin1');
  }

  async close(): Promise<void> {
    await this.#connection.close(this.#dialogue.close());
    this.destroy();
  }

  destroy(): void {
    clearTimeout(this.#progress);
    this.#connection.destroy();
  }

  #receive(chunk: Buffer): void {
    const { acknowledged, opened, closed, error } = this.#dialogue.receive(chunk.toString('latin1'));
    if (opened !== undefined) this.#opened?.(opened);
    if (acknowledged > 0) {
      this.#progress.refresh();
      this.#connection.events?.acknowledged(acknowledged);
    }
    if (error !== undefined) this.#connection.fail(error);
    else if (closed) this.#connection.destroy();
  }
}
