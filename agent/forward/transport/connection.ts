import type net from 'node:net';
import type { TransportEvents } from './transport.ts';

/** Wraps a connected socket. Reports only the first failure, immediately or, if it has no listener yet, in `listen`. */
export class Connection {
  readonly socket: net.Socket;
  events: TransportEvents | undefined;
  /** Receives a failure before `listen` is called. */
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

  /** Writes the last bytes and waits for up to two seconds until the server closes the connection. */
  async close(lastBytes: string): Promise<void> {
    if (this.#failure !== undefined) return;
    this.events = undefined;
    this.onFailure = undefined;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, 2000);
      this.socket.once('close', () => {
        clearTimeout(timer);
        resolve();
      });
      this.socket.end(lastBytes, 'latin1');
    });
  }

  /** Closes the socket without reporting an event. */
  destroy(): void {
    this.#failure ??= new Error('closed');
    this.socket.destroy();
  }
}
