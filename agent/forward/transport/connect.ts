import dns from 'node:dns/promises';
import net from 'node:net';
import tls from 'node:tls';
import type { Target } from './target.ts';
import { tlsOptions, verifyPeer } from './tls.ts';
import type { ConnectOptions } from './transport.ts';

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
function established<T extends net.Socket>(
  socket: T,
  event: 'connect' | 'secureConnect',
  signal: AbortSignal | undefined,
): Promise<T> {
  const abort = () => void socket.destroy();
  signal?.addEventListener('abort', abort, { once: true });
  socket.once('close', () => signal?.removeEventListener('abort', abort));
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      clearTimeout(timer);
      socket.destroy();
      reject(error);
    };
    const closed = () => fail(new Error('the server closed the connection'));
    const phase = event === 'connect' ? 'no connection' : 'TLS handshake not complete';
    const timer = setTimeout(
      () => fail(new Error(`${phase} within ${connectMilliseconds / 1000} s`)),
      connectMilliseconds,
    );
    socket.once('error', fail);
    socket.once('close', closed);
    socket.once(event, () => {
      clearTimeout(timer);
      socket.off('error', fail);
      socket.off('close', closed);
      resolve(socket);
    });
  });
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
