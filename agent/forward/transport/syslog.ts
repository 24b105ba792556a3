import dgram from 'node:dgram';
import dns from 'node:dns/promises';
import type net from 'node:net';
import tls from 'node:tls';
import type { OutgoingMessage, Transport } from '../stages.ts';
import { type ConnectOptions, Connection, SocketConnection, connectSocket } from './connection.ts';
import type { Target } from '../../config/forward-target.ts';

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
  try {
    if (socket instanceof tls.TLSSocket) await accepted(socket);
  } catch (error) {
    socket.destroy();
    throw error;
  }
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
    const closed = () => reject(new Error('the server closed the connection after TLS'));
    setTimeout(resolve, graceMilliseconds).unref();
    socket.once('session', () => resolve());
    socket.once('error', reject).once('end', closed).once('close', closed).resume();
  });
}

/** Frames messages by octet counting (RFC 6587, section 3.4.1; RFC 5425, section 4.3). */
class SyslogStream extends SocketConnection implements Transport {
  readonly #written: { count: number; at: number }[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(socket: net.Socket) {
    super(socket);
    socket.on('drain', () => this.events?.drained()).resume();
  }

  capacity(): number {
    return this.socket.writableLength < bufferBytes ? batchMessages : 0;
  }

  send(messages: OutgoingMessage[]): void {
    let frames = '';
    for (const { text } of messages) frames += `${text.length} ${text}`;
    const { length: count } = messages;
    this.socket.write(frames, 'latin1', (error) => {
      if (error || this.failure !== undefined) return;
      this.#written.push({ count, at: performance.now() });
      this.#timer ??= setInterval(() => this.#acknowledgeWritten(), graceMilliseconds / 4);
    });
  }

  override close(): Promise<void> {
    return this.closeAfter('');
  }

  protected release(): void {
    clearInterval(this.#timer);
    this.socket.destroy();
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
    if (count > 0) this.events?.acknowledged(count);
  }
}

/** The maximum number of datagrams that are passed to the kernel at once. */
const burstDatagrams = 64;

/**
 * Sends one datagram per message, without acknowledgements (RFC 5426).
 * @throws Error if the host name cannot be resolved
 */
async function connectUdp(target: Target, { trace }: ConnectOptions): Promise<Transport> {
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

class SyslogDatagrams extends Connection implements Transport {
  readonly #socket: dgram.Socket;
  #pending = 0;

  constructor(socket: dgram.Socket) {
    super();
    this.#socket = socket;
    // An ICMP error arrived, which means that no program listens on the port.
    socket.on('error', (error) => this.fail(error));
  }

  capacity(): number {
    return this.failure === undefined ? burstDatagrams - this.#pending : 0;
  }

  send(messages: OutgoingMessage[]): void {
    for (const { text } of messages) {
      this.#pending += 1;
      this.#socket.send(Buffer.from(text, 'latin1'), (error) => this.#sent(error));
    }
  }

  protected release(): void {
    this.#socket.close();
  }

  #sent(error: Error | null): void {
    if (error !== null) this.fail(error);
    if (this.failure !== undefined) return;
    this.#pending -= 1;
    this.events?.acknowledged(1);
  }
}
