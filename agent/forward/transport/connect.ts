import dns from 'node:dns/promises';
import net from 'node:net';
import tls from 'node:tls';
import type { Target } from './target.ts';
import { type TlsConfig, tlsOptions, verifyPeer } from './tls.ts';

/** Told what happens while a connection is made (`forward --test`). */
export type Trace = (step: string, detail: string) => void;

export const connectMilliseconds = 10_000;

/**
 * Connects by TCP or TLS and verifies the server.
 * @throws Error saying what failed: the name, the connection, the certificate, or the time
 */
export async function dial(
  target: Target,
  config: TlsConfig,
  trace: Trace = () => undefined,
): Promise<net.Socket> {
  const { host, port } = target;
  if (net.isIP(host) === 0) {
    const addresses = await dns.lookup(host, { all: true });
    trace('name', `${host} is ${addresses.map(({ address }) => address).join(', ')}`);
  }
  const options = { host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 };
  if (target.carrier !== 'tls') {
    const socket = await established(net.connect(options), 'connect');
    trace('connect', address(socket));
    return socket;
  }
  // A connection of its own first, so that a closed port and a bad certificate can be told apart.
  const plain = await established(net.connect(options), 'connect');
  trace('connect', address(plain));
  try {
    const socket = await established(
      tls.connect({ ...tlsOptions(config, host), socket: plain }),
      'secureConnect',
    );
    trace('tls', describe(socket));
    verifyPeer(socket, config, host);
    return socket;
  } catch (error) {
    plain.destroy();
    throw error;
  }
}

/** Until the event; the socket is gone if it does not come. */
function established<T extends net.Socket>(socket: T, event: 'connect' | 'secureConnect'): Promise<T> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      clearTimeout(timer);
      socket.destroy();
      reject(error);
    };
    const closed = () => fail(new Error('the server closed the connection'));
    const phase = event === 'connect' ? 'no connection' : 'no end of the TLS handshake';
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
