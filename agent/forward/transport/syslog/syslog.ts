import type net from 'node:net';
import tls from 'node:tls';
import { type Trace, dial } from '../connect.ts';
import { Link } from '../connection.ts';
import type { Message } from '../../encode/message.ts';
import { connectUdp } from './udp.ts';
import type { Target } from '../target.ts';
import type { TlsConfig } from '../tls.ts';
import type { Transport, TransportEvents } from '../transport.ts';

/** No answer holds anything up; what bounds it is the socket's buffer. */
export const syslogWindow = Number.MAX_SAFE_INTEGER;

/**
 * The longest message. TCP: imtcp's limit is 8192. UDP: what a receiver should take (RFC 5426, section 3.2).
 */
export function syslogMessageBytes(carrier: Target['carrier']): number {
  return carrier === 'udp' ? 2048 : 8000;
}

const roomBytes = 512 * 1024;
const roomMessages = 2048;
/** For so long a message can still turn out to be lost: if the connection breaks, it is sent again. */
const graceMilliseconds = 1000;

/** @throws Error saying which step failed */
export async function connectSyslog(target: Target, config: TlsConfig, trace?: Trace): Promise<Transport> {
  if (target.carrier === 'udp') return connectUdp(target, trace);
  const socket = await dial(target, config, trace);
  if (socket instanceof tls.TLSSocket) await accepted(socket);
  trace?.('protocol', 'syslog has no greeting and no acknowledgement');
  return new SyslogStream(socket);
}

/**
 * In TLS 1.3 the client is done before the server has looked at its certificate: what is written then may
 * vanish. A server that accepts sends a session ticket; one that does not, an alert.
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

/** Octet counting (RFC 6587, section 3.4.1; RFC 5425, section 4.3). */
class SyslogStream implements Transport {
  readonly #link: Link;
  readonly #written: { count: number; at: number }[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(socket: net.Socket) {
    this.#link = new Link(socket, () => undefined);
    socket.on('drain', () => this.#link.events?.drained());
  }

  listen(events: TransportEvents): void {
    this.#link.listen(events);
  }

  room(): number {
    return this.#link.socket.writableLength < roomBytes ? roomMessages : 0;
  }

  send(messages: Message[]): void {
    let frames = '';
    for (const { text } of messages) frames += `${text.length} ${text}`;
    const { length: count } = messages;
    this.#link.socket.write(frames, 'latin1', (error) => {
      if (error) return;
      this.#written.push({ count, at: performance.now() });
      this.#timer ??= setInterval(() => this.#settle(), graceMilliseconds / 4);
    });
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#link.close('');
    this.destroy();
  }

  destroy(): void {
    clearInterval(this.#timer);
    this.#link.destroy();
  }

  #settle(): void {
    const before = performance.now() - graceMilliseconds;
    let count = 0;
    while (this.#written[0] !== undefined && this.#written[0].at <= before)
      count += this.#written.shift()?.count ?? 0;
    if (this.#written.length === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
    if (count > 0) this.#link.events?.acknowledged(count);
  }
}
