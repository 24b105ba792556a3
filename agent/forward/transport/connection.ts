import dns from 'node:dns/promises';
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import type { SystemReader } from '../../system/reader.ts';
import type { TransportEvents } from '../stages.ts';
import type { Target } from '../../config/forward-target.ts';
import { type TlsConfig, tlsOptions, verifyPeer } from './tls.ts';

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

export const connectMilliseconds = 10_000;

/**
 * Connects by TCP or TLS and verifies the server.
 * @throws Error if the name cannot be resolved, the connection fails, the certificate is refused, or on timeout
 */
export async function connectSocket(
  target: Target,
  { config, reader, signal, trace = () => undefined }: ConnectOptions,
): Promise<net.Socket> {
  const { host, port } = target;
  if (net.isIP(host) === 0) {
    const addresses = await dns.lookup(host, { all: true });
    trace('name', `${host} is ${addresses.map(({ address }) => address).join(', ')}`);
  }
  signal?.throwIfAborted();
  const options = { host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 };
  if (target.carrier !== 'tls') {
    const socket = await established(net.connect(options), 'connect', signal);
    trace('connect', address(socket));
    return socket;
  }
  // Connect separately, to distinguish a closed port from an invalid certificate.
  const plain = await established(net.connect(options), 'connect', signal);
  trace('connect', address(plain));
  try {
    const socket = await established(
      tls.connect({ ...tlsOptions(reader, config, host), socket: plain }),
      'secureConnect',
      signal,
    );
    trace('tls', describe(socket));
    verifyPeer(socket, config, host);
    return socket;
  } catch (error) {
    plain.destroy();
    throw error;
  }
}

/** Waits for the event. Destroys the socket on timeout and, even after the event, when `signal` is aborted. */
async function established<T extends net.Socket>(
  socket: T,
  event: 'connect' | 'secureConnect',
  signal: AbortSignal | undefined,
): Promise<T> {
  const abort = () => void socket.destroy();
  signal?.addEventListener('abort', abort, { once: true });
  socket.once('close', () => signal?.removeEventListener('abort', abort));
  const timeout = AbortSignal.timeout(connectMilliseconds);
  try {
    await once(socket, event, {
      signal: AbortSignal.any([timeout, ...(signal === undefined ? [] : [signal])]),
    });
    return socket;
  } catch (error) {
    socket.destroy();
    if (!timeout.aborted) throw error;
    const phase = event === 'connect' ? 'no connection' : 'TLS handshake not complete';
    throw new Error(`${phase} within ${connectMilliseconds / 1000} s`, { cause: error });
  }
}

function address(socket: net.Socket): string {
  const { remoteAddress = '', remotePort = 0, localAddress = '' } = socket;
  return `to ${remoteAddress} port ${remotePort}, from ${localAddress}`;
}

function describe(socket: tls.TLSSocket): string {
  const certificate = socket.getPeerCertificate();
  if (Object.keys(certificate).length === 0) return 'without a certificate';
  const { subject, issuer, valid_from: start, valid_to: end, fingerprint256 } = certificate;
  const names = `${String(subject.CN)}, signed by ${String(issuer.CN)}, valid from ${start} to ${end}`;
  return `${socket.getProtocol() ?? ''}, ${names}, SHA256:${fingerprint256}`;
}

/** A connection, which reports only its first failure: immediately or, if it has no listener yet, in `listen`. */
export abstract class Connection {
  events: TransportEvents | undefined;
  failure: Error | undefined;

  listen(events: TransportEvents): void {
    this.events = events;
    if (this.failure !== undefined) events.failed(this.failure);
  }

  fail(error: Error): void {
    if (this.failure !== undefined) return;
    this.failure = error;
    this.release();
    this.events?.failed(error);
  }

  close(): Promise<void> {
    this.destroy();
    return Promise.resolve();
  }

  /** Closes the connection without reporting an event. */
  destroy(): void {
    if (this.failure !== undefined) return;
    this.failure = new Error('closed');
    this.release();
  }

  /** Closes the socket, and stops the timers. Called once. */
  protected abstract release(): void;
}

export abstract class SocketConnection extends Connection {
  readonly socket: net.Socket;

  constructor(socket: net.Socket) {
    super();
    this.socket = socket;
    socket.on('error', (error) => this.fail(error));
    socket.on('end', () => this.fail(new Error('the server closed the connection')));
    socket.on('close', () => this.fail(new Error('the connection was closed')));
  }

  /** Writes the last bytes and waits for up to two seconds until the server closes the connection. */
  protected async closeAfter(lastBytes: string): Promise<void> {
    if (this.failure !== undefined) return;
    this.events = undefined;
    this.socket.end(lastBytes, 'latin1');
    await once(this.socket, 'close', { signal: AbortSignal.timeout(2000) }).catch(() => undefined);
    this.destroy();
  }
}
