import type { SystemReader } from '../../system/reader.ts';
import { textIfThere } from '../engine/snapshot.ts';
import type { Action } from '../engine/step.ts';

const folder = '/etc/ssh';
/** The kinds that RHEL's sshd-keygen units make (sshd-keygen@.service, /usr/sbin/sshd-keygen of RHEL 7). */
const kinds = ['rsa', 'ecdsa', 'ed25519'];
/** What `ssh-keygen -A` may make, on RHEL 7 too (ssh-keygen(1)). */
const madeKinds = ['dsa', ...kinds];

/**
 * sshd makes its host keys when it starts for the first time, which fails on a read-only /etc: then nobody can log in.
 * They are made now, as the guest itself would.
 */
export function hostKeys(reader: SystemReader): { why: string; actions: Action[] } | undefined {
  if (reader.stat('/usr/sbin/sshd') === undefined) return undefined;
  const missing = wanted(reader).filter((kind) => !isThere(reader, kind));
  if (missing.length === 0) return undefined;
  const names = missing.map((kind) => keyFile(kind)).join(' ');
  const program = '/usr/bin/ssh-keygen';
  if (reader.stat(program) === undefined) {
    return {
      why: `${names}: sshd has no such host key and could not make one in a sealed guest, and ${program} is not there: install openssh, or start sshd once.`,
      actions: [],
    };
  }
  const makes = madeKinds
    .flatMap((kind) => [keyFile(kind), `${keyFile(kind)}.pub`])
    .filter((file) => reader.stat(file) === undefined);
  return {
    why: `${names}: sshd has no such host key and could not make one in a sealed guest: they are made now. Guests that are cloned from this disk share them.`,
    actions: [{ do: 'run', program, args: ['-A'], seconds: 120, makes }],
  };
}

/** Where RHEL's units make them: each kind; elsewhere sshd needs one at least. */
function wanted(reader: SystemReader): readonly string[] {
  const hasUnits = ['sshd-keygen@.service', 'sshd-keygen.service'].some(
    (unit) => reader.stat(`/usr/lib/systemd/system/${unit}`) !== undefined,
  );
  if (!hasUnits) return madeKinds.some((kind) => isThere(reader, kind)) ? [] : kinds;
  const chosen = /^\s*AUTOCREATE_SERVER_KEYS=["']?([^"'\n]*)/m.exec(
    textIfThere(reader, '/etc/sysconfig/sshd') ?? '',
  )?.[1];
  // "YES" of the oldest; a list of kinds of RHEL 7.
  const listed = chosen?.toLowerCase().split(/\s+/) ?? ['yes'];
  if (listed.includes('no')) return [];
  const asked = listed.includes('yes') ? kinds : kinds.filter((kind) => listed.includes(kind));
  // ed25519 is not approved there, so that it is not made.
  const isFips = textIfThere(reader, '/proc/sys/crypto/fips_enabled')?.trim() === '1';
  return isFips ? asked.filter((kind) => kind !== 'ed25519') : asked;
}

/** An empty file is no key: ConditionFileNotEmpty= of the units. */
function isThere(reader: SystemReader, kind: string): boolean {
  return (reader.stat(keyFile(kind))?.bytes ?? 0) > 0;
}

function keyFile(kind: string): string {
  return `${folder}/ssh_host_${kind}_key`;
}
