import { execFileSync } from 'node:child_process';
import fs from 'node:fs';

/** Where docs/log-server has the server's certificates, and a guest might have its own. */
export const serverFolder = '/etc/log-server';
export const guestFolder = '/etc/immutafs/tls';
export const serverName = 'log.example.com';

export interface CertificateOptions {
  /** Common name and, where it is none of an authority, DNS name. */
  name: string;
  /** Where NAME.pem and NAME.key go, as `folder/file`. */
  file: string;
  /** Seconds from now, of the beginning and the end. */
  from?: number;
  to?: number;
}

/** The two sides' certificates, as docs/log-server.md has them. */
export function makeCertificates(): void {
  for (const folder of [serverFolder, guestFolder]) fs.mkdirSync(folder, { recursive: true });
  openssl('req', '-x509', ...newKey(`${serverFolder}/ca`), '-days', '1', '-subj', '/CN=wire authority');
  fs.copyFileSync(`${serverFolder}/ca.pem`, `${guestFolder}/ca.pem`);
  makeCertificate({ name: serverName, file: `${serverFolder}/server` });
  makeCertificate({ name: 'guest1.guests.example', file: `${guestFolder}/guest` });
  fs.writeFileSync('/etc/hosts', `127.0.0.1 localhost ${serverName}\n::1 log6.example.com\n`);
}

/** Signed by the authority of `makeCertificates`. */
export function makeCertificate({ name, file, from = -3600, to = 86_400 }: CertificateOptions): void {
  const authority = ['-CA', `${serverFolder}/ca.pem`, '-CAkey', `${serverFolder}/ca.key`];
  const times = ['-not_before', time(from), '-not_after', time(to)];
  const alternative = ['-addext', `subjectAltName=DNS:${name}`];
  openssl('req', '-x509', ...newKey(file), ...authority, ...times, '-subj', `/CN=${name}`, ...alternative);
}

/** As FORWARD_PEER has it. */
export function fingerprint(file: string): string {
  const said = execFileSync('openssl', ['x509', '-noout', '-fingerprint', '-sha256', '-in', file]).toString();
  return `SHA256:${said.slice(said.indexOf('=') + 1).trim()}`;
}

export const guestTls = {
  FORWARD_CA: `${guestFolder}/ca.pem`,
  FORWARD_CERT: `${guestFolder}/guest.pem`,
  FORWARD_KEY: `${guestFolder}/guest.key`,
};

function newKey(file: string): string[] {
  return [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    `${file}.key`,
    '-out',
    `${file}.pem`,
  ];
}

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: 'pipe' });
}

/** YYYYMMDDHHMMSSZ */
function time(seconds: number): string {
  return new Date(Date.now() + seconds * 1000).toISOString().replace(/[-:T]|\.\d+/g, '');
}
