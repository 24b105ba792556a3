import { type JsonWebKey, type KeyObject, createPublicKey, randomBytes, sign } from 'node:crypto';
import * as v from 'valibot';
import { parseRecord } from '../lib/json-record.ts';

/** Sends a line to the host. @returns the next line of the host @throws Error if there is none in time */
export type Ask = (line: string) => Promise<string>;

const text = v.string();
const answerSchema = v.variant('type', [
  v.object({
    ...{ type: v.literal('challenge'), id: text, challenge: v.pipe(text, v.regex(/^[0-9a-f]{64}$/)) },
    /** Whether the host makes SSH certificates; earlier versions do not say. */
    ssh: v.optional(v.boolean(), false),
  }),
  v.object({
    ...{ type: v.literal('identity'), id: text, certificate: text, statement: text },
    ssh_certificate: v.optional(text),
  }),
  v.object({ type: v.literal('refusal'), id: v.nullable(text), reason: text }),
]);
type Answer = v.InferOutput<typeof answerSchema>;

/** Lines of answers to earlier requests, of a process that has ended, which are skipped. */
const mostOld = 20;

/** Returns the uncompressed point of a public key on P-256 (RFC 7518, 6.2.1); an empty buffer for any other key. */
export function pointOf({ crv, x = '', y = '' }: JsonWebKey): Buffer {
  if (crv !== 'P-256') return Buffer.alloc(0);
  return Buffer.concat([Buffer.of(4), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]);
}

const pointOfKey = (key: KeyObject) => pointOf(createPublicKey(key).export({ format: 'jwk' }));

/** The keys of a guest. */
export interface Keys {
  key: KeyObject;
  /** Returns the key of the SSH server; undefined if no certificate for it is to be requested. */
  hostKey?: () => KeyObject;
}

/**
 * Requests a certificate for a key (docs/identity.md, "Protocol"), and an SSH certificate if the host makes them.
 * @param verifier the nonce of a verifier, which the statement also contains
 * @returns what the host sent, not verified, the nonces that the statement must contain, and the points of the keys
 * @throws Error with the reason if the host refuses, and for an answer that is not one of the protocol
 */
export async function requestCertificate(ask: Ask, { key, hostKey }: Keys, verifier?: Buffer) {
  const id = randomBytes(16).toString('hex');
  const { challenge, ssh } = await answerOf(ask, id, { type: 'hello', id }, 'challenge');
  const nonce = randomBytes(32);
  const nonces = verifier === undefined ? [nonce] : [nonce, verifier];
  const own = { point: pointOfKey(key), key };
  const other = ssh ? hostKey?.() : undefined;
  const server = other && { point: pointOfKey(other), key: other };
  const fresh = Buffer.from(challenge, 'hex');
  const request = {
    ...{ type: 'request', id, challenge, nonce: nonce.toString('base64url') },
    ...{ key: own.point.toString('base64url'), proof: prove(own, fresh, ...nonces) },
    ...(verifier === undefined ? {} : { verifier: verifier.toString('base64url') }),
    ...(server && {
      ssh_key: server.point.toString('base64url'),
      ssh_proof: prove(server, fresh, nonce, own.point),
    }),
  };
  const answer = await answerOf(ask, id, request, 'identity');
  return { ...answer, nonces, point: own.point, hostPoint: server?.point };
}

/** Returns the signature by which a guest proves that it has a key, in base64url. */
function prove({ point, key }: { point: Buffer; key: KeyObject }, ...signed: readonly Buffer[]): string {
  const data = Buffer.concat([Buffer.from('immutafs-identity 1\n'), ...signed, point]);
  return sign('sha256', data, { key, dsaEncoding: 'ieee-p1363' }).toString('base64url');
}

/** Sends a message, and returns the answer to it. An answer without an id is one to a line that the host could not parse. */
async function answerOf<Type extends Answer['type']>(
  ask: Ask,
  id: string,
  message: object,
  type: Type,
): Promise<Extract<Answer, { type: Type }>> {
  // The empty line ends what an earlier process may have written in part.
  let line = await ask(`\n${JSON.stringify(message)}\n`);
  for (let old = 0; old < mostOld; old += 1) {
    const answer = parseRecord(answerSchema, line, 'the answer of the host');
    if (answer.type === 'refusal' && (answer.id === id || answer.id === null)) throw new Error(answer.reason);
    if (answer.id === id && isOf(answer, type)) return answer;
    line = await ask('');
  }
  throw new Error('the host sent only answers to other requests');
}

function isOf<Type extends Answer['type']>(
  answer: Answer,
  type: Type,
): answer is Extract<Answer, { type: Type }> {
  return answer.type === type;
}
