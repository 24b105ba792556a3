import type net from 'node:net';
import tls from 'node:tls';
import { connectSocket } from '../connect.ts';
import { Connection } from '../connection.ts';
import type { OutgoingMessage } from '../../encode/encoder.ts';
import { connectUdp } from './udp.ts';
import type { Target } from '../target.ts';
import type { ConnectOptions, Transport, TransportEvents } from '../transport.ts';

/** Unlimited, because the server does not acknowledge messages. The socket's buffer limits sending instead. */
export const syslogWindow = Number.MAX_SAFE_INTEGER;

/**
 * Returns the maximum length of a message, in bytes. For TCP, the limit of imtcp is 8192. For UDP, receivers should
 * accept 2048 bytes (RFC 5426, section 3.2).
 */
export function syslogMessageBytes(carrier: Target['carrier']): number {
  return carrier === 'udp' ? 2048 : 8000;
}

const bufferBytes = 512 * 1024;
const batchMessages = 2048;
/**
 * A message counts as acknowledged this long after it was written. If the connection breaks earlier, the message is
 * sent again.
 */
const graceMilliseconds = 1000;

/** @throws Error that describes the failed step */
export async function connectSyslog(target: Target, options: ConnectOptions): Promise<Transport> {
  if (target.carrier === 'udp') return connectUdp(target, options);
  const socket = await connectSocket(target, options);
  if (socket instanceof tls.TLSSocket) await accepted(socket);
  options.trace?.('protocol', 'syslog has no greeting and no acknowledgement');
  return new SyslogStream(socket);
}

/**
 * Waits until the server has accepted the client's certificate. In TLS 1.3, the client completes the handshake before
 * the server verifies the client's certificate, and bytes that are written in between may be lost. A server sends a
 * session ticket if it accepts the certificate, and an alert if it refuses the certificate.
 */
function accepted(socket: tls.TLSSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (action: () => void) => {
      clearTimeout(timer);
      for (const [event, listener] of listeners) socket.off(event, listener);
      action();
    };
    const refuse = (error?: Error) => {
      settle(() =>
        reject(error instanceof Error ? error : new Error('the server closed the connection after TLS')),
      );
      socket.destroy();
    };
    const timer = setTimeout(() => settle(resolve), graceMilliseconds);
    const listeners: [string, (error?: Error) => void][] = [
      ['session', () => settle(resolve)],
      ['error', refuse],
      ['end', refuse],
      ['close', refuse],
    ];
    for (const [event, listener] of listeners) socket.on(event, listener);
    socket.resume();
  });
}

/** Frames messages by octet counting (RFC 6587, section 3.4.1; RFC 5425, section 4.3). */
class SyslogStream implements Transport {
  readonly #connection: Connection;
  readonly #written: { count: number; at: number }[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(socket: net.Socket) {
    this.#connection = new Connection(socket, () => undefined);
    socket.on('drain', () => this.#connection.events?.drained());
  }

  listen(events: TransportEvents): void {
    this.#connection.listen(events);
  }

  capacity(): number {
    return this.#connection.socket.writableLength < bufferBytes ? batchMessages : 0;
  }

  send(messages: OutgoingMessage[]): void {
    let frames = '';
    for (const { text } of messages) frames += `${text.length} ${text}`;
    const { length: count } = messages;
    this.#connection.socket.write(frames, 'latin1', (error) => {
      if (error) return;
      this.#written.push({ count, at: performance.now() });
      this.#timer ??= setInterval(() => this.#acknowledgeWritten(), graceMilliseconds / 4);
    });
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#connection.close('');
    this.destroy();
  }

  destroy(): void {
    clearInterval(this.#timer);
    this.#connection.destroy();
  }

  #acknowledgeWritten(): void {
    const before = performance.now() - graceMilliseconds;
    let count = 0;
    while (this.#written[0] !== undefined && this.#written[0].at <= before)
      count += this.#written.shift()?.count ?? 0;
    if (this.#written.length === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
    if (count > 0) this.#connection.events?.acknowledged(count);
  }
}
