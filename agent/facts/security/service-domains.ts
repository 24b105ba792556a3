import { decodeBytes } from '../../lib/format.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { Selinux } from './labels.ts';

/** The SELinux module of this package, and the domains of its services. */
export interface ServiceDomains {
  /** Whether the policy contains the module. */
  installed: boolean;
  /** Whether a second module makes the domains permissive, as the package does with policies that were not tested. */
  permissive: boolean;
  /** Whether the policy allows a transition with NoNewPrivileges=yes: that of RHEL 7.9 does, earlier ones may not. */
  transitionsWithoutPrivileges: boolean;
  /** The running processes of the services; the check itself is one if a service runs it. */
  processes: ServiceProcess[];
}

export interface ServiceProcess {
  unit: string;
  pid: number;
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
const permissiveModule = 'active/modules/200/immutafs-permissive';

/** Finds the module in the file contexts of the policy, and the domain of each process of the services. */
export function findServiceDomains(reader: SystemReader, { policy }: Selinux): ServiceDomains {
  const contexts = reader.readIfPresent(`/etc/selinux/${policy}/contexts/files/file_contexts`) ?? '';
  const capability = reader.readIfPresent('/sys/fs/selinux/policy_capabilities/nnp_nosuid_transition', 64);
  return {
    installed: contexts.includes(':immutafs_exec_t:'),
    permissive: stores.some((store) => reader.stat(`${store}/${policy}/${permissiveModule}`) !== undefined),
    transitionsWithoutPrivileges: capability?.trim() === '1',
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
      return [{ unit, pid: Number(line), domain: decodeBytes(context).split(':')[2] ?? '' }];
    });
  });
}
