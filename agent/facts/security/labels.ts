import { SystemError } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { Layer } from '../boot/layers.ts';
import type { Overlay } from '../boot/overlays.ts';
import type { MountTable } from '../mounts/mountinfo.ts';
import { type Observed, unwrap } from '../observed.ts';

/** The state of SELinux if it is enabled. */
export interface Selinux {
  enforcing: boolean;
  /** SELINUXTYPE: "targeted". */
  policy: string;
}

/** The mode of SELinux and the labels of directories. */
interface Labels {
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
 * Reads the labels of the overlays that the boot mounted and of /tmp. Those at or below /var and /tmp must have the type
 * that the policy assigns, each other one the type of its lower layer.
 * @param selinux undefined if SELinux is disabled; the result is then undefined as well
 * @throws SystemError if stat(1) fails or times out
 */
export async function readLabels(
  reader: SystemReader,
  selinux: Selinux | undefined,
  mounts: MountTable,
  layers: readonly Layer[],
  overlays: Observed<Overlay[]>,
): Promise<Labels | undefined> {
  if (selinux === undefined) return undefined;
  const ofVar = layers.filter(({ target }) => mounts.serving(target)?.type === 'overlay');
  const ofPolicy = [...ofVar.map(({ target }) => target), '/tmp'];
  const others = unwrap(overlays).flatMap(({ target, lower }) =>
    lower === undefined ? [] : [{ path: target, original: lower.directory }],
  );
  const paths = [...ofPolicy, ...others.flatMap(({ path, original }) => [path, original])];
  const types = new Map(await typesOf(reader, paths));
  const directory = `/etc/selinux/${selinux.policy}/contexts/files`;
  const contexts = ['file_contexts', 'file_contexts.local'].map((name) =>
    reader.readIfPresent(`${directory}/${name}`),
  );
  const label = (path: string, expected: string | undefined) => ({
    path,
    type: types.get(path) ?? '',
    expected,
  });
  return {
    enforcing: selinux.enforcing,
    labels: [
      ...ofPolicy.map((path) => label(path, expectedType(contexts.join('\n'), path))),
      ...others.map(({ path, original }) => label(path, types.get(original))),
    ],
  };
}

/** Runs stat(1) to read the type of each directory, because Node.js has no getxattr(2). */
async function typesOf(reader: SystemReader, paths: readonly string[]): Promise<[string, string][]> {
  const { stdout, ended } = await reader.run('/usr/bin/stat', ['-c', '%C', '--', ...paths]);
  const types = stdout
    .trimEnd()
    .split('\n')
    .map((context) => context.split(':')[2] ?? '');
  if (ended !== 'good' || types.length !== paths.length || types.includes('')) {
    throw new SystemError(`stat -c %C did not return a label for each of ${paths.join(' ')} (${ended})`);
  }
  return paths.map((path, index) => [path, types[index] ?? '']);
}

/**
 * Returns the type that the policy assigns to a directory (selabel_file(5)). A line whose pattern is the literal path
 * takes precedence; otherwise the last line whose regular expression matches the path applies.
 * @param text file_contexts followed by file_contexts.local, which consist of lines "REGEX [-d] CONTEXT"
 * @returns undefined if no line matches, or if the policy does not set its label (<<none>>)
 */
export function expectedType(text: string, path: string): string | undefined {
  let literal: string | undefined;
  let matched: string | undefined;
  for (const line of text.split('\n')) {
    // Fast pre-selection, because most of the about 6,000 lines are for other paths.
    if (!line.startsWith('/') || !path.startsWith(stemOf(line))) continue;
    const [, pattern = '', kind = '-d', context = ''] = /^(\S+)\s+(?:(-\S)\s+)?(\S+)/.exec(line) ?? [];
    if (kind !== '-d') continue;
    const isLiteral = stemOf(line) === pattern;
    if (isLiteral && pattern === path) literal = context;
    else if (!isLiteral && matches(pattern, path)) matched = context;
  }
  return (literal ?? matched)?.split(':')[2];
}

/** Returns the literal prefix of a pattern: the part before the first special character of regular expressions. */
function stemOf(line: string): string {
  const end = line.search(/[\s.^$?*+|[({\\]/);
  return end < 0 ? line : line.slice(0, end);
}

/**
 * Whether a path matches a pattern. The patterns are PCRE, of which policies use the subset that JavaScript supports; a
 * pattern with other syntax matches nothing.
 */
function matches(pattern: string, path: string): boolean {
  try {
    return new RegExp(`^(?:${pattern})$`).test(path);
  } catch {
    return false;
  }
}
