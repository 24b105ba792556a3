import { SystemError } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import { expectedType } from './file-contexts.ts';

/** The state of SELinux if it is enabled. */
export interface Selinux {
  enforcing: boolean;
  /** SELINUXTYPE: "targeted". */
  policy: string;
}

/** The mode of SELinux and the labels of directories. */
export interface Labels {
  enforcing: boolean;
  labels: Label[];
}

export interface Label {
  path: string;
  /** The type in the security context of the directory: var_t. */
  type: string;
  /** The type that the directory must have; undefined if the policy assigns none. */
  expected: string | undefined;
}

/** Whether SELinux is enabled, in enforcing or permissive mode. @throws the errors of readSelinux */
export function hasSelinux(reader: SystemReader): boolean {
  return readSelinux(reader) !== undefined;
}

/**
 * Reads the mode and the policy of SELinux.
 * @returns undefined if SELinux is disabled
 * @throws SystemError if the kernel has SELinux but selinuxfs is not visible
 */
export function readSelinux(reader: SystemReader): Selinux | undefined {
  const config = reader.readIfPresent('/etc/selinux/config') ?? '';
  const enforce = readEnforce(reader, config);
  if (enforce === undefined) return undefined;
  const policy = /^\s*SELINUXTYPE\s*=\s*(\S+)/m.exec(config)?.[1] ?? 'targeted';
  return { enforcing: enforce === '1', policy };
}

/**
 * Reads the file `enforce` of selinuxfs; undefined if SELinux is disabled. With SELINUX=disabled, selinuxfs exists on
 * newer kernels although no policy is loaded.
 */
function readEnforce(reader: SystemReader, config: string): string | undefined {
  const enforce = reader.readIfPresent('/sys/fs/selinux/enforce')?.trim();
  if (enforce !== '1' && /^\s*SELINUX\s*=\s*disabled\s*$/m.test(config)) return undefined;
  if (enforce !== undefined) return enforce;
  // A kernel with SELinux registers selinuxfs (security/selinux/selinuxfs.c), even if it is not mounted or is covered.
  if (!/\tselinuxfs$/m.test(reader.readIfPresent('/proc/filesystems') ?? '')) return undefined;
  throw new SystemError('/sys/fs/selinux: the kernel has SELinux, but selinuxfs is not mounted there');
}

/**
 * Determines the actual and the expected label of each directory.
 * @param ofPolicy directories that must have the type that the policy assigns
 * @param ofOriginal pairs of a directory and the directory whose type it must have
 * @throws SystemError if stat(1) fails or times out
 */
export async function findLabels(
  reader: SystemReader,
  { enforcing, policy }: Selinux,
  ofPolicy: readonly string[],
  ofOriginal: readonly (readonly [string, string])[] = [],
): Promise<Labels> {
  const directory = `/etc/selinux/${policy}/contexts/files`;
  const contexts = [
    reader.readIfPresent(`${directory}/file_contexts`),
    reader.readIfPresent(`${directory}/file_contexts.local`),
  ];
  const types = await typesOf(reader, [...ofPolicy, ...ofOriginal.flat()]);
  return {
    enforcing,
    labels: [
      ...ofPolicy.map((path, index) => ({
        path,
        type: types[index] ?? '',
        expected: expectedType(contexts.join('\n'), path),
      })),
      ...ofOriginal.map(([path], index) => ({
        path,
        type: types[ofPolicy.length + 2 * index] ?? '',
        expected: types[ofPolicy.length + 2 * index + 1],
      })),
    ],
  };
}

/** Runs stat(1) to read the type of each directory, because Node.js has no getxattr(2). */
async function typesOf(reader: SystemReader, paths: readonly string[]): Promise<string[]> {
  const { stdout, ended } = await reader.run('/usr/bin/stat', ['-c', '%C', '--', ...paths]);
  const types = stdout
    .trimEnd()
    .split('\n')
    .map((context) => context.split(':')[2] ?? '');
  if (ended !== 'good' || types.length !== paths.length || types.includes('')) {
    throw new SystemError(`stat -c %C did not return a label for each of ${paths.join(' ')} (${ended})`);
  }
  return types;
}
