import { type KeyObject, X509Certificate, constants, createPrivateKey } from 'node:crypto';
import tls from 'node:tls';
import { type Config, isFingerprint } from '../../config/config.ts';
import { certificateFiles } from '../../facts/certificate.ts';
import { errorMessage, unlessSystemError } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';

export type TlsConfig = Pick<Config, 'FORWARD_CA' | 'FORWARD_CERT' | 'FORWARD_KEY' | 'FORWARD_PEER'> &
  Partial<Pick<Config, 'IDENTITY'>>;

/**
 * Verifies the files that the configuration names, before the first connection. The default of a file that cannot be
 * used would trust other servers than those that the administrator chose, so there is no default for it.
 * @throws Error that names the file and the reason
 */
export function verifyTlsFiles(reader: SystemReader, config: TlsConfig): void {
  const { FORWARD_CA, FORWARD_CERT, FORWARD_KEY } = config;
  if (FORWARD_CA !== '') certificateIn(FORWARD_CA, readBytes(reader, FORWARD_CA));
  if (FORWARD_CERT === '' && FORWARD_KEY === '') return;
  if (FORWARD_CERT === 'identity') {
    if (FORWARD_KEY !== '') throw new Error('FORWARD_CERT=identity has a key of its own: remove FORWARD_KEY');
    if (config.IDENTITY !== 'host') throw new Error('FORWARD_CERT=identity requires IDENTITY=host');
    // There may be no certificate yet. Each connection reads it.
    return;
  }
  if (FORWARD_CERT === '' || FORWARD_KEY === '')
    throw new Error('FORWARD_CERT and FORWARD_KEY belong together: set both or none');
  const cert = readBytes(reader, FORWARD_CERT);
  const key = readBytes(reader, FORWARD_KEY);
  const certificate = certificateIn(FORWARD_CERT, cert);
  if (!certificate.checkPrivateKey(privateKeyIn(FORWARD_KEY, key)))
    throw new Error(`${FORWARD_KEY}: not the private key of the certificate in ${FORWARD_CERT}`);
}

function certificateIn(file: string, bytes: Buffer): X509Certificate {
  if (!bytes.includes('-----BEGIN ')) throw notPem(file);
  try {
    return new X509Certificate(bytes);
  } catch (error) {
    throw new Error(`${file}: not a valid certificate: ${errorMessage(error)}`, { cause: error });
  }
}

function privateKeyIn(file: string, bytes: Buffer): KeyObject {
  try {
    return createPrivateKey(bytes);
  } catch (error) {
    throw new Error(`${file}: not a private key in PEM form without a passphrase`, { cause: error });
  }
}

function notPem(file: string): Error {
  return new Error(`${file}: no certificate in PEM form (-----BEGIN CERTIFICATE-----)`);
}

/**
 * The ciphers that are offered, in OpenSSL's names: those of TLS 1.3, and for TLS 1.2 only those with forward secrecy and
 * authenticated encryption (RFC 9325, section 4.2). The servers of RHEL 7 support them.
 */
const ciphers = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
];

/** The paths of the CA bundle on Red Hat and on Debian systems. */
const bundles = ['/etc/pki/tls/certs/ca-bundle.crt', '/etc/ssl/certs/ca-certificates.crt'];

/**
 * Returns the TLS options for a connection. The certificate files are read at each connection, so that renewed files
 * take effect without a restart. After the handshake, the caller must call `verifyPeer` before it sends data.
 * @throws Error that names the file that cannot be read or contains no certificate
 */
export function tlsOptions(reader: SystemReader, config: TlsConfig, host: string): tls.ConnectionOptions {
  const [cert, key] =
    config.FORWARD_CERT === 'identity'
      ? [certificateFiles.certificate, certificateFiles.key]
      : [config.FORWARD_CERT, config.FORWARD_KEY];
  const name = expectedName(config, host);
  return {
    minVersion: 'TLSv1.2',
    ciphers: ciphers.join(':'),
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    ca: authorities(reader, config),
    ...(cert === '' ? {} : { cert: readBytes(reader, cert) }),
    ...(key === '' ? {} : { key: readBytes(reader, key) }),
    // The server name must not be an address (RFC 6066, section 3).
    ...(/^[0-9.]+$|:/.test(name) ? {} : { servername: name }),
    // verifyPeer verifies the server instead, because it can describe the certificate and supports fingerprints.
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
  };
}

/**
 * Returns the trusted CA certificates. The list is empty only if FORWARD_PEER is a fingerprint, because Node uses its
 * built-in CAs if the list is empty.
 */
function authorities(reader: SystemReader, { FORWARD_CA, FORWARD_PEER }: TlsConfig): Buffer {
  const file =
    FORWARD_CA === ''
      ? bundles.find((bundle) => unlessSystemError(() => reader.resolve(bundle)) !== undefined)
      : FORWARD_CA;
  if (file === undefined) {
    // In this case, verifyPeer compares only the fingerprint.
    if (isFingerprint(FORWARD_PEER)) return Buffer.alloc(0);
    throw new Error(`this system has no CA bundle (${bundles.join(', ')}): set FORWARD_CA`);
  }
  const certificates = readBytes(reader, file);
  if (!certificates.includes('-----BEGIN ')) throw notPem(file);
  return certificates;
}

function readBytes(reader: SystemReader, file: string): Buffer {
  return Buffer.from(reader.read(file), 'latin1');
}

/**
 * Verifies the identity of the server. If FORWARD_PEER is a fingerprint, the server's certificate must have this
 * fingerprint and needs no trusted signature (RFC 5425, section 4.2.2). Otherwise, the certificate must be signed by a
 * trusted CA and must contain the expected name.
 * @throws Error that describes the difference
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
