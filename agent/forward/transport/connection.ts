import type net from 'node:net';
import type { TransportEvents } from './transport.ts';

/** A connected socket with one failure: the first, told once to whoever listens, or when somebody does. */
export class Link {
  readonly socket: net.Socket;
  events: TransportEvents | undefined;
  /** Told of a failure while nobody listens yet. */
  onFailure: ((error: Error) => void) | undefined;
  #failure: Error | undefined;

  constructor(socket: net.Socket, receive: (chunk: Buffer) => void) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      if (this.#failure === undefined) receive(chunk);
    });
    socket.on('error', (error) => this.fail(error));
    socket.on('end', () => this.fail(new Error('the server closed the connection')));
    socket.on('close', () => this.fail(new Error('the connection was closed')));
  }

  listen(events: TransportEvents): void {
    this.events = events;
    if (this.#failure !== undefined) events.failed(this.#failure);
  }

  fail(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.socket.destroy();
    this.onFailure?.(error);
    this.events?.failed(error);
  }

  /** Writes what there is to say at the end, and waits for the server's end, two seconds at most. */
  async close(goodbye: string): Promise<void> {
    if (this.#failure !== undefined) return;
    this.events = undefined;
    this.onFailure = undefined;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, 2000);
      this.socket.once('close', () => {
        clearTimeout(timer);
        resolve();
      });
      this.socket.end(goodbye, 'latin1');
    });
  }

  /** Without a word to anyone. */
  destroy(): void {
    this.#failure ??= new Error('closed');
    this.socket.destroy();
  }
}
