import { type KeyObject, createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { readConfig } from '../config/config.ts';
import {
  type CertificateState,
  certificateFiles as files,
  identityPort,
  readCertificate,
} from '../facts/certificate.ts';
import { observe, valueOf } from '../facts/observed.ts';
import { certificatesIn, parseSshCertificate, verifyAnswer } from '../identity/answer.ts';
import { type Ask, type Keys, requestCertificate } from '../identity/request.ts';
import { UsageError, errorMessage } from '../lib/errors.ts';
import { type Port, openPort } from '../system/port.ts';
import type { SystemReader } from '../system/reader.ts';
import type { SystemWriter } from '../system/writer.ts';
import type { Output } from './output.ts';

/** The options of `identity`. */
export interface IdentityOptions {
  /** base64url of the nonce of a verifier. */
  nonce?: string;
}

/** The time until the host must have answered, in milliseconds. */
const patience = 30_000;
/** Seconds between requests after one that failed. */
const retry = 60;

/**
 * `identity`: requests a certificate from the host, and writes it (immutafs-identity.service runs this). With --nonce, prints
 * a statement for a verifier, and writes nothing.
 * @returns the exit code: 0, or 1 if the host did not certify this guest
 * @throws UsageError unless IDENTITY=host with IDENTITY_CA
 */
export async function identityCommand(
  reader: SystemReader,
  loadWriter: () => Promise<SystemWriter>,
  output: Output,
  { nonce }: IdentityOptions,
  open: (file: string, milliseconds: number) => Promise<Port> = openPort,
): Promise<number> {
  const { config } = readConfig(reader);
  if (config.IDENTITY !== 'host') throw new UsageError('IDENTITY is not host in immutafs.conf');
  if (config.IDENTITY_CA === '') throw new UsageError('IDENTITY_CA is empty in immutafs.conf');
  const verifier = nonce === undefined ? undefined : parseNonce(nonce);
  const writer = await loadWriter();
  const isShared = config.FORWARD_CERT === 'identity';
  const authorities = () => reader.read(config.IDENTITY_CA);
  try {
    const port = await open(identityPort, patience);
    try {
      const keys = {
        key: privateKey(reader, writer, files.key, isShared ? 0o640 : 0o600),
        ...(verifier === undefined && { hostKey: () => privateKey(reader, writer, files.hostKey, 0o600) }),
      };
      const { certificate, ...made } = await request(reader, port.ask, keys, authorities(), verifier);
      if (verifier !== undefined) output.stdout(`${made.statement}\n`);
      else write(reader, writer, authorities(), { certificate, ...made }, output);
      return 0;
    } finally {
      port.close();
    }
  } catch (error) {
    const problem = errorMessage(error).replaceAll(/\s+/g, ' ').slice(0, 1000);
    if (verifier === undefined) recordProblem(reader, writer, problem, output);
    else output.stderr(`immutafs-agent: ${problem}\n`);
    return 1;
  }
}

function parseNonce(text: string): Buffer {
  const nonce = Buffer.from(text, 'base64url');
  if (nonce.toString('base64url') !== text || nonce.length < 8 || nonce.length > 64)
    throw new UsageError('--nonce must be 8 to 64 bytes in base64url');
  return nonce;
}

/** Returns a key of this boot, which is made at the first request. */
function privateKey(reader: SystemReader, writer: SystemWriter, file: string, mode: number): KeyObject {
  const existing = reader.readIfPresent(file, 16 * 1024);
  if (existing !== undefined) return createPrivateKey(existing);
  const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  writer.makeDirectory(files.directory, 0o755);
  // The directory gives its files to the group of the forwarder (units/immutafs-identity.service). sshd accepts no key that a
  // group can read.
  writer.writeAtomically(file, key.export({ type: 'pkcs8', format: 'pem' }).toString(), mode);
  return key;
}

interface Made {
  certificate: NonNullable<CertificateState['certificate']>;
  pem: string;
  statement: string;
  /** The certificate of the SSH server, as the line of a file. */
  ssh: string | undefined;
}

/** Requests a certificate, and verifies it. */
async function request(
  reader: SystemReader,
  ask: Ask,
  keys: Keys,
  authorities: string,
  verifier?: Buffer,
): Promise<Made> {
  const answer = await requestCertificate(ask, keys, verifier);
  const { certificate: pem, statement, nonces, point, hostPoint } = answer;
  const certificate = verifyAnswer(pem, statement, {
    authorities: certificatesIn(authorities, 'IDENTITY_CA'),
    ...{ point, nonces },
    uuid: reader.readIfPresent('/sys/class/dmi/id/product_uuid', 100)?.trim().toLowerCase(),
    now: reader.now().getTime(),
  });
  const line = hostPoint && answer.ssh_certificate;
  const ssh =
    line === undefined || hostPoint === undefined ? undefined : parseSshCertificate(line, hostPoint);
  return { certificate, pem, statement, ssh };
}

function write(
  reader: SystemReader,
  writer: SystemWriter,
  authorities: string,
  { certificate, pem, statement, ssh }: Made,
  output: Output,
): void {
  writer.writeAtomically(files.authority, authorities, 0o644);
  writer.writeAtomically(files.statement, `${statement}\n`, 0o644);
  if (ssh !== undefined) writer.writeAtomically(files.hostCertificate, `${ssh}\n`, 0o644);
  // The last of them, because immutafs-identity.path waits for it.
  writer.writeAtomically(files.certificate, pem, 0o644);
  const left = (Date.parse(certificate.until) - reader.now().getTime()) / 1000;
  record(reader, writer, { certificate, problem: '' }, Math.max(retry, (left * 2) / 3));
  output.stdout(`certified by ${certificate.host} until ${certificate.until} as ${certificate.id}\n`);
}

/** Keeps what is recorded about the certificate, which may still be valid. Prints a reason only when it changes. */
function recordProblem(reader: SystemReader, writer: SystemWriter, problem: string, output: Output): void {
  const before = valueOf(observe(() => readCertificate(reader)))?.state;
  if (before?.problem !== problem) output.stderr(`immutafs-agent: no certificate: ${problem}\n`);
  writer.makeDirectory(files.directory, 0o755);
  record(reader, writer, { certificate: before?.certificate ?? null, problem }, retry);
}

/** @param seconds until the next request */
function record(reader: SystemReader, writer: SystemWriter, state: CertificateState, seconds: number): void {
  writer.writeAtomically(files.state, `${JSON.stringify(state)}\n`, 0o644);
  const next = Math.floor(reader.environment().seconds + seconds);
  writer.writeAtomically(files.next, `${next}\n`, 0o644);
}
