import dgram from 'node:dgram';
import dns from 'node:dns/promises';
import type { OutgoingMessage } from '../../encode/encoder.ts';
import type { Target } from '../target.ts';
import type { ConnectOptions, Transport, TransportEvents } from '../transport.ts';

/** The maximum number of datagrams that are passed to the kernel at once. */
const burst = 64;

/**
 * Sends one datagram per message, without acknowledgements (RFC 5426).
 * @throws Error if the host name cannot be resolved
 */
export async function connectUdp(target: Target, { trace }: ConnectOptions): Promise<Transport> {
  const { address, family } = await dns.lookup(target.host);
  trace?.('name', `${target.host} is ${address}`);
  const socket = dgram.createSocket(family === 6 ? 'udp6' : 'udp4');
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.connect(target.port, address, resolve);
  });
  socket.removeAllListeners('error');
  trace?.('connect', `to ${address} port ${target.port}: datagrams, without acknowledgement`);
  return new SyslogDatagrams(socket);
}

class SyslogDatagrams implements Transport {
  readonly #socket: dgram.Socket;
  #events: TransportEvents | undefined;
  #pending = 0;
  #failure: Error | undefined;

  constructor(socket: dgram.Socket) {
    this.#socket = socket;
    // An ICMP error arrived, which means that no program listens on the port.
    socket.on('error', (error) => this.#fail(error));
  }

  listen(events: TransportEvents): void {
    this.#events = events;
    if (this.#failure !== undefined) events.failed(this.#failure);
  }

  capacity(): number {
    return this.#failure === undefined ? burst - this.#pending : 0;
  }

  send(messages: OutgoingMessage[]): void {
    for (const { text } of messages) {
      this.#pending += 1;
      this.#socket.send(Buffer.from(text, 'latin1'), (error) => this.#sent(error));
    }
  }

  close(): Promise<void> {
    this.destroy();
    return Promise.resolve();
  }

  destroy(): void {
    if (this.#failure === undefined) this.#socket.close();
    this.#failure ??= new Error('closed');
  }

  #sent(error: Error | null): void {
    if (this.#failure !== undefined) return;
    if (error !== null) {
      this.#fail(error);
      return;
    }
    this.#pending -= 1;
    this.#events?.acknowledged(1);
  }

  #fail(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#socket.close();
    this.#events?.failed(error);
  }
}
