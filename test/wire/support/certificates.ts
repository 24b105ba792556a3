import { execFileSync } from 'node:child_process';
import fs from 'node:fs';

/** The directories of the server's certificates in docs/log-server, and of the guest's in docs/log-server.md. */
export const serverDirectory = '/etc/log-server';
export const guestDirectory = '/etc/immutafs/tls';
export const serverName = 'log.example.com';

export interface CertificateOptions {
  /** The common name and the DNS name. */
  name: string;
  /** The path of the created files, without `.pem` and `.key`. */
  file: string;
  /** The validity, in seconds from now. */
  from?: number;
  to?: number;
}

/** Creates the certificates of both sides as described in docs/log-server.md, and host names for the loopback. */
export function makeCertificates(): void {
  makeCertificatesIn(serverDirectory, guestDirectory);
  fs.writeFileSync(
    '/etc/hosts',
    `127.0.0.1 localhost ${serverName} both.example.com\n::1 log6.example.com both.example.com\n`,
  );
}

/** Creates a CA, and certificates for a server and a guest that are signed by the CA. */
export function makeCertificatesIn(server: string, guest: string): void {
  for (const directory of [server, guest]) fs.mkdirSync(directory, { recursive: true });
  openssl('req', '-x509', ...newKey(`${server}/ca`), '-days', '1', '-subj', '/CN=wire authority');
  fs.copyFileSync(`${server}/ca.pem`, `${guest}/ca.pem`);
  makeCertificate({ name: serverName, file: `${server}/server` }, server);
  makeCertificate({ name: 'guest1.guests.example', file: `${guest}/guest` }, server);
}

/** @param signer the directory of the CA, as passed to `makeCertificatesIn` */
export function makeCertificate(
  { name, file, from = -3600, to = 86_400 }: CertificateOptions,
  signer = serverDirectory,
): void {
  const authority = ['-CA', `${signer}/ca.pem`, '-CAkey', `${signer}/ca.key`];
  const times = ['-not_before', time(from), '-not_after', time(to)];
  const alternative = ['-addext', `subjectAltName=DNS:${name}`];
  openssl('req', '-x509', ...newKey(file), ...authority, ...times, '-subj', `/CN=${name}`, ...alternative);
}

/** Returns the fingerprint of a certificate in the form required by FORWARD_PEER. */
export function fingerprint(file: string): string {
  const options = ['x509', '-noout', '-fingerprint', '-sha256', '-in', file];
  const output = execFileSync('openssl', options).toString();
  return `SHA256:${output.slice(output.indexOf('=') + 1).trim()}`;
}

export const guestTls = {
  FORWARD_CA: `${guestDirectory}/ca.pem`,
  FORWARD_CERT: `${guestDirectory}/guest.pem`,
  FORWARD_KEY: `${guestDirectory}/guest.key`,
};

function newKey(file: string): string[] {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  return [...key, '-keyout', `${file}.key`, '-out', `${file}.pem`];
}

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: 'pipe' });
}

/** Formats a time, in seconds from now, as YYYYMMDDHHMMSSZ. */
function time(seconds: number): string {
  return new Date(Date.now() + seconds * 1000).toISOString().replace(/[-:T]|\.\d+/g, '');
}
