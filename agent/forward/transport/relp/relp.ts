import type net from 'node:net';
import { type Trace, connectMilliseconds, dial } from '../connect.ts';
import { Link } from '../connection.ts';
import type { Message } from '../../encode/message.ts';
import { RelpDialogue } from './dialogue.ts';
import type { Target } from '../target.ts';
import type { TlsConfig } from '../tls.ts';
import type { Transport, TransportEvents } from '../transport.ts';

/** Messages that may be on their way without an answer. librelp's 128 was measured to be much slower. */
export const relpWindow = 1024;
/** imrelp's limit, with its own header, is 8192 bytes; it cuts off the rest without a word. */
export const relpMessageBytes = 8000;
/** A server that is merely slow answers something in this time. */
const progressMilliseconds = 60_000;

/** Opens a RELP session. @throws Error saying which step failed */
export async function connectRelp(target: Target, config: TlsConfig, trace?: Trace): Promise<Transport> {
  const relp = new Relp(await dial(target, config, trace));
  try {
    const software = await relp.open();
    trace?.('protocol', `RELP session with ${software}`);
    return relp;
  } catch (error) {
    relp.destroy();
    throw error;
  }
}

class Relp implements Transport {
  readonly #dialogue = new RelpDialogue();
  readonly #link: Link;
  readonly #progress: NodeJS.Timeout;
  #opened: ((software: string) => void) | undefined;

  constructor(socket: net.Socket) {
    this.#link = new Link(socket, (chunk) => this.#receive(chunk));
    this.#progress = setTimeout(() => {
      if (this.#dialogue.inFlight === 0) return;
      this.#link.fail(new Error(`no answer for ${progressMilliseconds / 1000} s`));
    }, progressMilliseconds).unref();
  }

  /** @returns the server's name for itself */
  open(): Promise<string> {
    return new Promise((resolve, reject) => {
      const late = () =>
        this.#link.fail(new Error(`no answer of RELP within ${connectMilliseconds / 1000} s`));
      const timer = setTimeout(late, connectMilliseconds);
      this.#opened = (software) => {
        clearTimeout(timer);
        resolve(software);
      };
      this.#link.onFailure = (error) => {
        clearTimeout(timer);
        reject(error);
      };
      this.#link.socket.write(this.#dialogue.open(), 'latin1');
    });
  }

  listen(events: TransportEvents): void {
    this.#link.listen(events);
  }

  room(): number {
    return relpWindow - this.#dialogue.inFlight;
  }

  send(messages: Message[]): void {
    if (this.#dialogue.inFlight === 0) this.#progress.refresh();
    this.#link.socket.write(this.#dialogue.messages(messages), 'latin1');
  }

  async close(): Promise<void> {
    await this.#link.close(this.#dialogue.close());
    this.destroy();
  }

  destroy(): void {
    clearTimeout(this.#progress);
    this.#link.destroy();
  }

  #receive(chunk: Buffer): void {
    const { acknowledged, opened, closed, error } = this.#dialogue.receive(chunk.toString('latin1'));
    if (opened !== undefined) this.#opened?.(opened);
    if (acknowledged > 0) {
      this.#progress.refresh();
      this.#link.events?.acknowledged(acknowledged);
    }
    if (error !== undefined) this.#link.fail(error);
    else if (closed) this.#link.destroy();
  }
}
