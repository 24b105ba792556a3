import type { SystemReader } from '../../system/reader.ts';
import type { Action } from '../engine/step.ts';

const folder = '/etc/ssh';
/** The key types that RHEL's sshd-keygen units generate (sshd-keygen@.service, /usr/sbin/sshd-keygen of RHEL 7). */
const kinds = ['rsa', 'ecdsa', 'ed25519'];
/** The key types that `ssh-keygen -A` can generate, including those of RHEL 7 (ssh-keygen(1)). */
const madeKinds = ['dsa', ...kinds];

/**
 * Plans the generation of missing host keys. Normally, the host keys are generated when sshd first starts. This fails
 * on a read-only /etc, and users then cannot log in. Therefore the keys that the guest would generate are generated
 * now.
 */
export function hostKeys(reader: SystemReader): { why: string; actions: Action[] } | undefined {
  if (reader.stat('/usr/sbin/sshd') === undefined) return undefined;
  const missing = wanted(reader).filter((kind) => !isThere(reader, kind));
  if (missing.length === 0) return undefined;
  const names = missing.map((kind) => keyFile(kind)).join(' ');
  const program = '/usr/bin/ssh-keygen';
  if (reader.stat(program) === undefined) {
    return {
      why: `${names}: these host keys of sshd do not exist, a sealed guest cannot generate them, and ${program} is not installed: install openssh, or start sshd once.`,
      actions: [],
    };
  }
  const makes = madeKinds
    .flatMap((kind) => [keyFile(kind), `${keyFile(kind)}.pub`])
    .filter((file) => reader.stat(file) === undefined);
  return {
    why: `${names}: these host keys of sshd do not exist, and the guest cannot generate them once it is sealed. They will be generated now. All guests that are cloned from this disk share them.`,
    actions: [{ do: 'run', program, args: ['-A'], seconds: 120, makes }],
  };
}

/**
 * Returns the required key types: those that RHEL's units generate. Without these units, sshd needs at least one key.
 */
function wanted(reader: SystemReader): readonly string[] {
  const hasUnits = ['sshd-keygen@.service', 'sshd-keygen.service'].some(
    (unit) => reader.stat(`/usr/lib/systemd/system/${unit}`) !== undefined,
  );
  if (!hasUnits) return madeKinds.some((kind) => isThere(reader, kind)) ? [] : kinds;
  const chosen = /^\s*AUTOCREATE_SERVER_KEYS=["']?([^"'\n]*)/m.exec(
    reader.readIfPresent('/etc/sysconfig/sshd') ?? '',
  )?.[1];
  // "YES" in the oldest releases; a list of key types in RHEL 7.
  const listed = chosen?.toLowerCase().split(/\s+/) ?? ['yes'];
  if (listed.includes('no')) return [];
  const asked = listed.includes('yes') ? kinds : kinds.filter((kind) => listed.includes(kind));
  // FIPS does not approve ed25519.
  const isFips = reader.readIfPresent('/proc/sys/crypto/fips_enabled')?.trim() === '1';
  return isFips ? asked.filter((kind) => kind !== 'ed25519') : asked;
}

/** Whether a host key exists. An empty file counts as missing (ConditionFileNotEmpty= in the units). */
function isThere(reader: SystemReader, kind: string): boolean {
  return (reader.stat(keyFile(kind))?.bytes ?? 0) > 0;
}

function keyFile(kind: string): string {
  return `${folder}/ssh_host_${kind}_key`;
}
