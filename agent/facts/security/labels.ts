import { HostError, errorCode } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import { expectedType } from './file-contexts.ts';

/** SELinux, as far as it concerns what the boot mounts. */
export interface Labels {
  enforcing: boolean;
  labels: Label[];
}

export interface Label {
  path: string;
  /** The type in the folder's context, var_t. */
  type: string;
  /** What the policy has for it; undefined where it says nothing. */
  expected: string | undefined;
}

/**
 * Whether SELinux is on, enforcing or not.
 * @throws HostError where the kernel has it and selinuxfs is not to be seen
 */
export function hasSelinux(reader: SystemReader): boolean {
  return enforceOf(reader, configOf(reader)) !== undefined;
}

const configOf = (reader: SystemReader) => optional(reader, '/etc/selinux/config') ?? '';

/**
 * selinuxfs' enforce; undefined without SELinux, and with SELINUX=disabled, which leaves newer kernels with it but
 * without a policy.
 */
function enforceOf(reader: SystemReader, config: string): string | undefined {
  const enforce = optional(reader, '/sys/fs/selinux/enforce')?.trim();
  if (enforce !== '1' && /^\s*SELINUX\s*=\s*disabled\s*$/m.test(config)) return undefined;
  if (enforce !== undefined) return enforce;
  // It is there only where SELinux is (security/selinux/selinuxfs.c); what is mounted over it, or unmounted, hides it.
  if (!/\tselinuxfs$/m.test(optional(reader, '/proc/filesystems') ?? '')) return undefined;
  throw new HostError(
    '/sys/fs/selinux: the kernel has SELinux, but something else is mounted there, or nothing',
  );
}

/**
 * @param paths folders
 * @returns undefined without SELinux
 * @throws HostError where stat(1) has no answer, or none in time; as hasSelinux
 */
export async function findLabels(
  reader: SystemReader,
  paths: readonly string[],
): Promise<Labels | undefined> {
  const config = configOf(reader);
  const enforce = enforceOf(reader, config);
  if (enforce === undefined) return undefined;
  const policy = /^\s*SELINUXTYPE\s*=\s*(\S+)/m.exec(config)?.[1];
  const folder = `/etc/selinux/${policy ?? 'targeted'}/contexts/files`;
  const contexts = [
    optional(reader, `${folder}/file_contexts`),
    optional(reader, `${folder}/file_contexts.local`),
  ];
  const types = await typesOf(reader, paths);
  return {
    enforcing: enforce === '1',
    labels: paths.map((path, index) => ({
      path,
      type: types[index] ?? '',
      expected: expectedType(contexts.join('\n'), path),
    })),
  };
}

/** Node has no getxattr(2). */
async function typesOf(reader: SystemReader, paths: readonly string[]): Promise<string[]> {
  const { stdout, ended } = await reader.run('/usr/bin/stat', ['-c', '%C', '--', ...paths]);
  const types = stdout
    .trimEnd()
    .split('\n')
    .map((context) => context.split(':')[2] ?? '');
  if (ended !== 'good' || types.length !== paths.length || types.includes('')) {
    throw new HostError(`stat -c %C has no label of each of ${paths.join(' ')} (${ended})`);
  }
  return types;
}

function optional(reader: SystemReader, file: string): string | undefined {
  try {
    return reader.read(file);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errorCode(error))) return undefined;
    throw error;
  }
}
