import { HostError } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import { expectedType } from './file-contexts.ts';

/** SELinux that is on. */
export interface Selinux {
  enforcing: boolean;
  /** SELINUXTYPE, "targeted". */
  policy: string;
}

/** The labels of folders. */
export interface Labels {
  enforcing: boolean;
  labels: Label[];
}

export interface Label {
  path: string;
  /** The type in the folder's context, var_t. */
  type: string;
  /** The type in the policy; undefined if the policy has none. */
  expected: string | undefined;
}

/** Whether SELinux is on, enforcing or not. @throws as readSelinux */
export function hasSelinux(reader: SystemReader): boolean {
  return readSelinux(reader) !== undefined;
}

/**
 * @returns undefined if SELinux is off
 * @throws HostError if the kernel has SELinux but selinuxfs is not visible
 */
export function readSelinux(reader: SystemReader): Selinux | undefined {
  const config = reader.readIfPresent('/etc/selinux/config') ?? '';
  const enforce = readEnforce(reader, config);
  if (enforce === undefined) return undefined;
  const policy = /^\s*SELINUXTYPE\s*=\s*(\S+)/m.exec(config)?.[1] ?? 'targeted';
  return { enforcing: enforce === '1', policy };
}

/**
 * The file `enforce` of selinuxfs; undefined without SELinux, and with SELINUX=disabled, with which newer kernels have
 * SELinux but no policy.
 */
function readEnforce(reader: SystemReader, config: string): string | undefined {
  const enforce = reader.readIfPresent('/sys/fs/selinux/enforce')?.trim();
  if (enforce !== '1' && /^\s*SELINUX\s*=\s*disabled\s*$/m.test(config)) return undefined;
  if (enforce !== undefined) return enforce;
  // A kernel with SELinux lists selinuxfs (security/selinux/selinuxfs.c), even if it is unmounted or covered.
  if (!/\tselinuxfs$/m.test(reader.readIfPresent('/proc/filesystems') ?? '')) return undefined;
  throw new HostError('/sys/fs/selinux: the kernel has SELinux, but selinuxfs is not mounted there');
}

/**
 * @param paths folders
 * @throws HostError if stat(1) fails or does not end in time
 */
export async function findLabels(
  reader: SystemReader,
  { enforcing, policy }: Selinux,
  paths: readonly string[],
): Promise<Labels> {
  const folder = `/etc/selinux/${policy}/contexts/files`;
  const contexts = [
    reader.readIfPresent(`${folder}/file_contexts`),
    reader.readIfPresent(`${folder}/file_contexts.local`),
  ];
  const types = await typesOf(reader, paths);
  return {
    enforcing,
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
