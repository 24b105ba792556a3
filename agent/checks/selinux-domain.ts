import { unwrap } from '../facts/observed.ts';
import type { ServiceDomains, ServiceProcess } from '../facts/security/service-domains.ts';
import type { Check } from './check.ts';

/** The domain of each service that has its own domain; all other services have the domain of the checks. */
const domains: Record<string, string> = { 'immutafs-forward.service': 'immutafs_forward_t' };

/** Verifies that the services run in the domains of the SELinux module of this package. */
export const selinuxDomain: Check = {
  id: 'selinux-domain',
  severity: 'advisory',
  seal: false,
  messageId: 'f2b2fd606bb84a5d8e859f3fd1e3ce01',
  documentation: {
    title: 'the services run in the SELinux domains of this package',
    means:
      'The SELinux policy contains the module immutafs, and each running process of immutafs-check, immutafs-drift and immutafs-rehearsal has the domain immutafs_t, and of immutafs-forward the domain immutafs_forward_t, according to /proc/PID/attr/current. The domains must not be permissive, as the module immutafs-permissive makes them with policies that were not tested. The check is skipped without SELinux, and for the forwarder if the policy does not allow a change of domain with NoNewPrivileges=yes (/sys/fs/selinux/policy_capabilities/nnp_nosuid_transition): that of RHEL 7.9 allows it, those of earlier releases of RHEL 7 may not.',
    why: 'immutafs_forward_t confines the forwarder: a server or a log entry that takes control of it can read logs, connect to servers and write to the state directory of the forwarder, and nothing else. Outside its domain, the forwarder has only the restrictions of its unit.',
    fix: 'In maintenance mode, run semodule -X 200 -i /usr/share/immutafs-agent/immutafs.cil, then restorecon -R -F /usr/bin/immutafs-agent /usr/libexec/immutafs /etc/immutafs, and reboot. If the domains are permissive and ausearch -m avc -se immutafs shows no denial, run semodule -X 200 -r immutafs-permissive.',
    page: 'selinux.md',
  },
  evaluate: ({ serviceDomains }) => {
    const found = unwrap(serviceDomains);
    if (found === undefined) {
      return { status: 'skip', observed: 'SELinux is not enabled' };
    }
    const expected = 'immutafs_t, immutafs_forward_t';
    if (!found.installed) {
      return {
        status: 'warn',
        subject: 'immutafs',
        expected,
        observed: 'the SELinux module immutafs is not installed',
        remedy:
          'In maintenance mode, run: semodule -X 200 -i /usr/share/immutafs-agent/immutafs.cil, then reboot.',
      };
    }
    return judgeProcesses(found, expected);
  },
};

function judgeProcesses(
  { permissive, processes, transitionsWithoutPrivileges }: ServiceDomains,
  expected: string,
) {
  const wrong = processes.filter(({ unit, domain }) => domain !== domainOf(unit));
  const subject = namesOf(wrong.length > 0 ? wrong : processes, ({ unit }) => unit);
  const names = namesOf(wrong, ({ unit, domain }) => `${unit} runs in ${domain}, not ${domainOf(unit)};`);
  const isImpossible =
    !transitionsWithoutPrivileges && wrong.every(({ unit }) => unit === 'immutafs-forward.service');
  if (wrong.length > 0 && !isImpossible) {
    const remedy =
      'In maintenance mode, run: restorecon -R -F /usr/bin/immutafs-agent /usr/libexec/immutafs, then reboot.';
    return { status: 'warn', subject, expected, observed: names.replace(/;$/, ''), remedy } as const;
  }
  if (permissive) {
    const observed = 'the domains are permissive: denials are recorded, but not enforced';
    return { status: 'warn', subject, expected, observed, remedy: enforce } as const;
  }
  if (wrong.length > 0) {
    const reason = 'this policy allows no change of domain with NoNewPrivileges=yes';
    return { status: 'skip', subject, expected, observed: `${names} ${reason}` } as const;
  }
  const observed =
    processes.length === 0
      ? 'the module is installed, no service is running'
      : namesOf(processes, ({ domain }) => domain);
  return { status: 'pass', subject, expected, observed } as const;
}

const enforce =
  'If ausearch -m avc -se immutafs shows no denial, run in maintenance mode: semodule -X 200 -r immutafs-permissive, then reboot.';

function domainOf(unit: string): string {
  return domains[unit] ?? 'immutafs_t';
}

/** Returns each name once, separated by spaces. */
function namesOf(processes: readonly ServiceProcess[], name: (process: ServiceProcess) => string): string {
  return [...new Set(processes.map(name))].join(' ');
}
