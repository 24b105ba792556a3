/**
 * Verifies what the host sent: the certificate (X.509-SVID) and the statement (JWT, RFC 7519; EAT, RFC 9711).
 *
 * The virtio-serial port leads to the host, so this protects against a host, or a program on it, without the key of a CA in
 * IDENTITY_CA, and against an answer that is not for this request.
 */
import { X509Certificate, verify } from 'node:crypto';
import * as v from 'valibot';
import { parseRecord } from '../lib/json-record.ts';
import type { CertificateState } from '../facts/certificate.ts';
import { pointOf } from './request.ts';

export interface Expected {
  /** The certificates of IDENTITY_CA. */
  authorities: readonly X509Certificate[];
  /** The uncompressed point of the key of this guest. */
  point: Buffer;
  /** The nonces that the statement must contain. */
  nonces: readonly Buffer[];
  /** The UUID of this guest in SMBIOS; undefined if it has none. */
  uuid: string | undefined;
  /** Milliseconds since 1970. */
  now: number;
}

const text = v.string();
const headerSchema = v.object({ alg: v.literal('ES256'), x5c: v.pipe(v.array(text), v.minLength(1)) });
const claimsSchema = v.object({
  sub: text,
  exp: v.number(),
  eat_nonce: v.union([text, v.array(text)]),
  cnf: v.object({ jwk: v.object({ crv: v.literal('P-256'), x: text, y: text }) }),
  immutafs: v.object({ uuid: text, sha256: text, enforcement: v.literal('host') }),
});

/** Returns the certificates in a PEM text. @throws Error if it has none, or one that cannot be parsed */
export function certificatesIn(pem: string, name: string): X509Certificate[] {
  const parts = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  if (parts.length === 0) throw new Error(`${name}: no certificate in PEM form`);
  return parts.map((part) => new X509Certificate(part));
}

/** Returns the certificate as `status` shows it. @throws Error that says what is wrong */
export function verifyAnswer(
  certificate: string,
  statement: string,
  expected: Expected,
): NonNullable<CertificateState['certificate']> {
  const [own, ...chain] = certificatesIn(certificate, 'the answer');
  const host = chain[0];
  if (own === undefined || host === undefined)
    throw new Error('the host sent its own certificate without that of this guest, or the reverse');
  if (!pointOf(own.publicKey.export({ format: 'jwk' })).equals(expected.point))
    throw new Error('the certificate is not for the key of this guest');
  if (own.ca) throw new Error('the certificate of this guest may sign certificates');
  const anchor = verifyChain([own, ...chain], expected);
  const id = spiffeId(own);
  const domain = domainOf(id);
  const named = anchor.fingerprint256 === host.fingerprint256 ? [host] : [host, anchor];
  for (const each of named) {
    const other = spiffeId(each);
    // A CA above that of the host may have no SPIFFE ID.
    if (other === undefined && each === anchor && named.length > 1) continue;
    if (domain === undefined || domainOf(other) !== domain)
      throw new Error(`the trust domain of ${id} is not that of its CA`);
  }
  const claims = verifyStatement(statement, host, expected);
  if (claims.sub !== id) throw new Error('the statement is about another guest than the certificate');
  return {
    ...{ id, host: commonName(host) },
    from: new Date(own.validFrom).toISOString(),
    until: new Date(own.validTo).toISOString(),
  };
}

/**
 * Returns the SSH certificate of a host key as the line of a file (PROTOCOL.certkeys of OpenSSH). Clients verify it; sshd
 * would ignore one that is not for its key.
 * @throws Error unless it is a certificate for the key with this uncompressed point
 */
export function parseSshCertificate(line: string, point: Buffer): string {
  const [, data = ''] =
    /^ecdsa-sha2-nistp256-cert-v01@openssh\.com ([A-Za-z0-9+/]{1,10000}={0,2})$/.exec(line) ?? [];
  const blob = Buffer.from(data, 'base64');
  const next = (at: number) => (at + 4 <= blob.length ? at + 4 + blob.readUInt32BE(at) : blob.length);
  // The type, a nonce of the host and the name of the curve are before the point.
  const start = next(next(next(0)));
  if (!blob.subarray(start + 4, next(start)).equals(point))
    throw new Error('the SSH certificate of the host is not for the key of this guest');
  return line;
}

/** Returns the authority that signed the chain. @throws Error if there is none, or if a certificate is not valid now */
function verifyChain(chain: readonly X509Certificate[], { authorities, now }: Expected): X509Certificate {
  for (const [index, certificate] of chain.entries()) {
    verifyTime(certificate, now);
    if (index > 0 && !certificate.ca) throw new Error(`${commonName(certificate)} may not sign certificates`);
    const anchor = authorities.find(
      (each) => each.fingerprint256 === certificate.fingerprint256 || isSignedBy(certificate, each),
    );
    if (anchor !== undefined && index > 0) {
      verifyTime(anchor, now);
      return anchor;
    }
    const next = chain[index + 1];
    if (next === undefined || !isSignedBy(certificate, next)) break;
  }
  throw new Error('no authority of IDENTITY_CA has signed the certificate of the host');
}

function isSignedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

function verifyTime(certificate: X509Certificate, now: number): void {
  const [from, until] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)];
  if (now < from || now >= until)
    throw new Error(
      `the certificate of ${commonName(certificate)} is valid from ${certificate.validFrom} to ${certificate.validTo}, and the clock of this guest is ${new Date(now).toISOString()}`,
    );
}

/** Returns the claims. @throws Error unless the host signed them for this key and these nonces */
function verifyStatement(statement: string, host: X509Certificate, { point, nonces, uuid, now }: Expected) {
  const [first = '', second = '', third = '', ...more] = statement.split('.');
  const decode = (part: string) => Buffer.from(part, 'base64url');
  const header = parseRecord(headerSchema, decode(first).toString('utf8'), 'the header of the statement');
  if (more.length > 0 || header.x5c[0] !== host.raw.toString('base64'))
    throw new Error('the statement is not signed by the host that signed the certificate');
  const key = { key: host.publicKey, dsaEncoding: 'ieee-p1363' } as const;
  if (!verify('sha256', Buffer.from(`${first}.${second}`), key, decode(third)))
    throw new Error('the signature of the statement is wrong');
  const claims = parseRecord(claimsSchema, decode(second).toString('utf8'), 'the statement');
  if (!pointOf(claims.cnf.jwk).equals(point))
    throw new Error('the statement is not for the key of this guest');
  const found = [claims.eat_nonce].flat();
  if (!nonces.every((nonce) => found.includes(nonce.toString('base64url'))))
    throw new Error('the statement is not for this request: it has another nonce');
  if (now >= claims.exp * 1000) throw new Error('the statement has expired');
  if (uuid !== undefined && claims.immutafs.uuid !== uuid)
    throw new Error(`the statement is about the guest ${claims.immutafs.uuid}, and this one is ${uuid}`);
  return claims;
}

/** Returns the only URI of a certificate, if it is a SPIFFE ID. */
function spiffeId({ subjectAltName = '' }: X509Certificate): string | undefined {
  const uris = subjectAltName.split(', ').filter((name) => name.startsWith('URI:'));
  const [uri = ''] = uris;
  return uris.length === 1 && uri.startsWith('URI:spiffe://') ? uri.slice('URI:'.length) : undefined;
}

function domainOf(id: string | undefined): string | undefined {
  return id?.slice('spiffe://'.length).split('/', 1)[0];
}

function commonName({ subject }: X509Certificate): string {
  return /^CN=(.*)$/m.exec(subject)?.[1] ?? subject.replaceAll('\n', ', ');
}
