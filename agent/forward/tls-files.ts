import fs from 'node:fs';
import tls from 'node:tls';
import type { Config } from '../config.ts';

export type TlsConfig = Pick<Config, 'FORWARD_CA' | 'FORWARD_CERT' | 'FORWARD_KEY' | 'FORWARD_PEER'>;

/** The distributions' bundles of authorities: Red Hat's, Debian's. */
const bundles = ['/etc/pki/tls/certs/ca-bundle.crt', '/etc/ssl/certs/ca-certificates.crt'];

/**
 * Reads the certificate files; at each connection, so that renewed ones count without a restart.
 * @param host the server's name or address in FORWARD; FORWARD_PEER wins over it
 * @throws Error naming the file that cannot be read
 */
export function tlsOptions(config: TlsConfig, host: string): tls.ConnectionOptions {
  const { FORWARD_CA, FORWARD_CERT, FORWARD_KEY, FORWARD_PEER } = config;
  const fingerprint = isFingerprint(FORWARD_PEER);
  const name = FORWARD_PEER === '' || fingerprint ? host : FORWARD_PEER;
  const ca = FORWARD_CA === '' ? bundles.find((file) => fs.existsSync(file)) : FORWARD_CA;
  return {
    minVersion: 'TLSv1.2',
    ...(ca === undefined ? {} : { ca: fs.readFileSync(ca) }),
    ...(FORWARD_CERT === '' ? {} : { cert: fs.readFileSync(FORWARD_CERT) }),
    ...(FORWARD_KEY === '' ? {} : { key: fs.readFileSync(FORWARD_KEY) }),
    // RFC 6066, section 3: names only.
    ...(/^[0-9.]+$|:/.test(name) ? {} : { servername: name }),
    // With a fingerprint the certificate itself is known, so nobody needs to have signed it (RFC 5425, 4.2.2).
    rejectUnauthorized: !fingerprint,
    checkServerIdentity: (_host, certificate) => tls.checkServerIdentity(name, certificate),
  };
}

/**
 * Whether the certificate is the one of a fingerprint in FORWARD_PEER; with a name there, the handshake has
 * decided.
 * @throws Error with the fingerprint that came instead
 */
export function verifyFingerprint(socket: tls.TLSSocket, peer: string): void {
  if (!isFingerprint(peer)) return;
  const { fingerprint, fingerprint256 } = socket.getPeerCertificate();
  const plain = (text: string) => text.toUpperCase().replaceAll(':', '');
  const wanted = plain(peer.replace(/^sha(1|-?256)[:=]/i, ''));
  const found = wanted.length === 40 ? fingerprint : fingerprint256;
  if (plain(found) !== wanted)
    throw new Error(`the server's certificate has another fingerprint: SHA256:${fingerprint256}`);
}

/** "SHA256:AA:BB…" or "SHA1:AA:BB…" (rsyslog's form), the colons between the bytes as one likes. */
function isFingerprint(peer: string): boolean {
  return (
    /^(sha256|sha-256)[:=]([0-9a-f]{2}:?){32}$/i.test(peer) || /^sha1[:=]([0-9a-f]{2}:?){20}$/i.test(peer)
  );
}
