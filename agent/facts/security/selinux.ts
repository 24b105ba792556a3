import { SystemError } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { Layer, Overlay } from '../boot/overlays.ts';
import type { MountTable } from '../mounts/mountinfo.ts';
import { type Observed, unwrap } from '../observed.ts';
import { decodeBytes } from '../../lib/format.ts';

/** The state of SELinux if it is enabled. */
type Selinux = NonNullable<ReturnType<typeof readSelinux>>;

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
export function readSelinux(reader: SystemReader) {
  const config = reader.readIfPresent('/etc/selinux/config') ?? '';
  const enforce = readEnforce(reader, config);
  if (enforce === undefined) return undefined;
  const policy = /^\s*SELINUXTYPE\s*=\s*(\S+)/m.exec(config)?.[1] ?? 'targeted';
  return {
    enforcing: enforce === '1',
    /** "targeted" */
    policy,
  };
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
 * Reads the mode of SELinux and the labels of the overlays that the boot mounted and of /tmp. Those at or below /var and
 * /tmp must have the type that the policy assigns, each other one the type of its lower layer.
 * @param selinux undefined if SELinux is disabled; the result is then undefined as well
 * @throws SystemError if stat(1) fails or times out
 */
export async function readLabels(
  reader: SystemReader,
  selinux: Selinux | undefined,
  mounts: MountTable,
  layers: readonly Layer[],
  overlays: Observed<Overlay[]>,
) {
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

/** The SELinux module of this package, and the domains of its services. */
export type ServiceDomains = ReturnType<typeof findServiceDomains>;

export interface ServiceProcess {
  unit: string;
  /** The type in the security context of the process: immutafs_t. */
  domain: string;
}

/** The services with processes that run longer than an instant. */
const units = [
  'immutafs-check.service',
  'immutafs-drift.service',
  'immutafs-forward.service',
  'immutafs-rehearsal.service',
];

/** The directories of the cgroups of systemd: with unified, hybrid and legacy hierarchy. */
const hierarchies = ['/sys/fs/cgroup', '/sys/fs/cgroup/systemd'];

/** Where policies keep their modules: since RHEL 8, and on RHEL 7. */
const stores = ['/var/lib/selinux', '/etc/selinux'];

/** The modules that make the domains permissive: those of `semanage permissive -a`, and one of earlier versions of the package. */
const permissiveModules = [
  '400/permissive_immutafs_forward_t',
  '400/permissive_immutafs_t',
  '200/immutafs-permissive',
];

/** Finds the module in the file contexts of the policy, and the domain of each process of the services. */
export function findServiceDomains(reader: SystemReader, { policy }: Selinux) {
  const contexts = reader.readIfPresent(`/etc/selinux/${policy}/contexts/files/file_contexts`) ?? '';
  const capability = reader.readIfPresent('/sys/fs/selinux/policy_capabilities/nnp_nosuid_transition', 64);
  return {
    /** Whether the policy contains the module. */
    installed: contexts.includes(':immutafs_exec_t:'),
    /** The priorities and names (`400/NAME`) of the modules that make the domains permissive. */
    permissive: permissiveModules.filter((name) =>
      stores.some((store) => reader.stat(`${store}/${policy}/active/modules/${name}`) !== undefined),
    ),
    /** Whether the policy allows a transition with NoNewPrivileges=yes: those of RHEL 7.5 and later do. */
    transitionsWithoutPrivileges: capability?.trim() === '1',
    /** The running processes of the services; the check itself is one if a service runs it. */
    processes: units.flatMap((unit) => processesOf(reader, unit)),
  };
}

function processesOf(reader: SystemReader, unit: string): ServiceProcess[] {
  return hierarchies.flatMap((directory) => {
    const list = reader.readIfPresent(`${directory}/system.slice/${unit}/cgroup.procs`) ?? '';
    return list.split('\n').flatMap((line) => {
      const context = line === '' ? undefined : reader.readIfPresent(`/proc/${line}/attr/current`, 4096);
      // The process may have ended since the list was read. A name in parentheses belongs to a process that systemd has
      // forked and that has not run the program of the service yet (systemd, src/core/exec-invoke.c).
      const name = reader.readIfPresent(`/proc/${line}/comm`, 64);
      if (context === undefined || name?.startsWith('(') === true) return [];
      return [{ unit, domain: decodeBytes(context).split(':')[2] ?? '' }];
    });
  });
}
