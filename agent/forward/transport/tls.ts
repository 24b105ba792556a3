import fs from 'node:fs';
import tls from 'node:tls';
import { type Config, isFingerprint } from '../../config/config.ts';

export type TlsConfig = Pick<Config, 'FORWARD_CA' | 'FORWARD_CERT' | 'FORWARD_KEY' | 'FORWARD_PEER'>;

/** The distributions' bundles of authorities: Red Hat's, Debian's. */
const bundles = ['/etc/pki/tls/certs/ca-bundle.crt', '/etc/ssl/certs/ca-certificates.crt'];

/**
 * Reads the certificate files; at each connection, so that renewed ones count without a restart. Whoever
 * connects with these options calls `verifyPeer` before a byte is written.
 * @throws Error naming the file that cannot be read, or that has no certificate
 */
export function tlsOptions(config: TlsConfig, host: string): tls.ConnectionOptions {
  const { FORWARD_CERT, FORWARD_KEY } = config;
  const name = expectedName(config, host);
  return {
    minVersion: 'TLSv1.2',
    ca: authorities(config),
    ...(FORWARD_CERT === '' ? {} : { cert: fs.readFileSync(FORWARD_CERT) }),
    ...(FORWARD_KEY === '' ? {} : { key: fs.readFileSync(FORWARD_KEY) }),
    // RFC 6066, section 3: names only.
    ...(/^[0-9.]+$|:/.test(name) ? {} : { servername: name }),
    // Verified by verifyPeer, which can say what came instead, and knows fingerprints.
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
  };
}

/** Never none at all: Node would then trust the authorities that it was built with. */
function authorities({ FORWARD_CA, FORWARD_PEER }: TlsConfig): Buffer {
  const file = FORWARD_CA === '' ? bundles.find((each) => fs.existsSync(each)) : FORWARD_CA;
  if (file === undefined) {
    // The fingerprint alone decides then (verifyPeer).
    if (isFingerprint(FORWARD_PEER)) return Buffer.alloc(0);
    throw new Error(`this system has no authorities (${bundles.join(', ')}): set FORWARD_CA`);
  }
  const certificates = fs.readFileSync(file);
  if (!certificates.includes('-----BEGIN '))
    throw new Error(`${file}: no certificate in PEM form (-----BEGIN CERTIFICATE-----)`);
  return certificates;
}

/**
 * Whether the server is the one that is meant: signed by an authority and of the expected name, or of the
 * fingerprint in FORWARD_PEER; with that nobody needs to have signed it (RFC 5425, section 4.2.2).
 * @throws Error saying what is wrong
 */
export function verifyPeer(socket: tls.TLSSocket, config: TlsConfig, host: string): void {
  const certificate = socket.getPeerCertificate();
  if (Object.keys(certificate).length === 0) throw new Error('the server has no certificate');
  if (isFingerprint(config.FORWARD_PEER)) {
    if (!hasFingerprint(certificate, config.FORWARD_PEER))
      throw new Error(`the server's certificate has the fingerprint SHA256:${certificate.fingerprint256}`);
    return;
  }
  if (!socket.authorized) {
    throw new Error(`the server's certificate is not trusted: ${String(socket.authorizationError)}`);
  }
  const problem = tls.checkServerIdentity(expectedName(config, host), certificate);
  if (problem !== undefined) throw problem;
}

function expectedName({ FORWARD_PEER: peer }: TlsConfig, host: string): string {
  return peer === '' || isFingerprint(peer) ? host : peer;
}

function hasFingerprint({ fingerprint, fingerprint256 }: tls.PeerCertificate, peer: string): boolean {
  const plain = (text: string) => text.toUpperCase().replaceAll(':', '');
  const wanted = plain(peer.replace(/^sha-?(1|256)[:=]/i, ''));
  return plain(wanted.length === 40 ? fingerprint : fingerprint256) === wanted;
}
