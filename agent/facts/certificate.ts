import * as v from 'valibot';
import { decodeBytes } from '../lib/format.ts';
import { parseRecord } from '../lib/json-record.ts';
import type { SystemReader } from '../system/reader.ts';

/** The directory with the key and the certificate of this guest. It is in RAM. */
const directory = '/run/immutafs/identity';
export const certificateFiles = {
  directory,
  key: `${directory}/key.pem`,
  certificate: `${directory}/cert.pem`,
  authority: `${directory}/ca.pem`,
  statement: `${directory}/statement.jwt`,
  /** The key of the SSH server, and its certificate, if the host makes them (HostKey and HostCertificate in sshd_config(5)). */
  hostKey: `${directory}/ssh_host_key`,
  hostCertificate: `${directory}/ssh_host_key-cert.pub`,
  state: `${directory}/state.json`,
  /** The uptime in seconds from which units/start-identity starts the agent again. */
  next: `${directory}/next`,
};

/** The port to the host. */
export const identityPort = '/dev/virtio-ports/org.immutafs.identity';

const line = v.pipe(v.string(), v.maxLength(1999));
/** ISO 8601 */
const time = v.pipe(
  line,
  v.check((text) => !Number.isNaN(Date.parse(text))),
);

export const certificateState = v.object({
  /** Why the last request failed; '' if it did not. */
  problem: line,
  /** The certificate that this guest has, which may have expired; null before the first one. */
  certificate: v.nullable(
    v.object({
      /** The SPIFFE ID of this guest. */
      id: line,
      /** The name of the host that signed the certificate. */
      host: line,
      from: time,
      until: time,
    }),
  ),
});
export type CertificateState = v.InferOutput<typeof certificateState>;

/** Reads what the last request of this boot recorded. @throws Error for a malformed file */
export function readCertificate(reader: SystemReader) {
  const text = reader.readIfPresent(certificateFiles.state, 64 * 1024);
  return {
    hasPort: reader.stat(identityPort) !== undefined,
    now: reader.now().getTime(),
    /** undefined if nothing was requested in this boot. */
    state:
      text === undefined
        ? undefined
        : parseRecord(certificateState, decodeBytes(text), certificateFiles.state),
  };
}
