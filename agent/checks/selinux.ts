import type { Label, ServiceDomains, ServiceProcess } from '../facts/security/selinux.ts';
import { unwrap } from '../facts/observed.ts';
import type { Check, Outcome } from './check.ts';

export const selinuxLabels: Check = {
  id: 'selinux-labels',
  messageId: '10efc4110c4f42afb5702f1c3b01c3d3',
  expected: 'the types of the policy',
  evaluate: ({ labels }) => {
    const found = unwrap(labels);
    if (found === undefined) return { status: 'skip', observed: 'SELinux is not enabled' };
    const wrong = found.labels.filter(isWrong);
    const subject = (wrong.length === 0 ? found.labels : wrong).map(({ path }) => path).join(' ');
    if (wrong.length === 0)
      return { status: 'pass', subject, observed: found.labels.map(({ type }) => type).join(' ') };
    const described = wrong.map(
      ({ path, type, expected }) => `${path} is ${type}${expected === undefined ? '' : `, not ${expected}`}`,
    );
    const remedy = `Run \`restorecon -F ${subject}\`. To find the cause, run \`systemctl status immutafs-var.service\`.`;
    return { status: found.enforcing ? 'fail' : 'warn', subject, observed: described.join('; '), remedy };
  },
};

function isWrong({ type, expected }: Label): boolean {
  return ['tmpfs_t', 'unlabeled_t'].includes(type) || (expected !== undefined && type !== expected);
}

/** The domain of each service that has its own domain; all other services have the domain of the checks. */
const domains: Record<string, string> = { 'immutafs-forward.service': 'immutafs_forward_t' };

export const selinuxDomain: Check = {
  id: 'selinux-domain',
  severity: 'advisory',
  messageId: 'f2b2fd606bb84a5d8e859f3fd1e3ce01',
  expected: 'immutafs_t, immutafs_forward_t',
  evaluate: ({ serviceDomains }) => {
    const found = unwrap(serviceDomains);
    if (found === undefined) return { status: 'skip', observed: 'SELinux is not enabled' };
    if (found.installed) return judgeProcesses(found);
    return {
      status: 'warn',
      subject: 'immutafs',
      observed: 'the SELinux module immutafs is not installed',
      remedy:
        'In maintenance mode, run: semodule -X 200 -i /usr/share/immutafs-agent/immutafs.cil, then reboot.',
    };
  },
};

function judgeProcesses({ permissive, processes, transitionsWithoutPrivileges }: ServiceDomains): Outcome {
  const wrong = processes.filter(({ unit, domain }) => domain !== domainOf(unit));
  const subject = namesOf(wrong.length > 0 ? wrong : processes, ({ unit }) => unit);
  const names = namesOf(wrong, ({ unit, domain }) => `${unit} runs in ${domain}, not ${domainOf(unit)};`);
  const isImpossible =
    !transitionsWithoutPrivileges && wrong.every(({ unit }) => unit === 'immutafs-forward.service');
  if (wrong.length > 0 && !isImpossible) {
    const remedy =
      'In maintenance mode, run: restorecon -R -F /usr/bin/immutafs-agent /usr/libexec/immutafs, then reboot.';
    return { status: 'warn', subject, observed: names.replace(/;$/, ''), remedy };
  }
  if (permissive.length > 0) {
    const names = permissive.map((name) => name.replace(/^.*\//, '')).join(' ');
    const observed = `${names}: denials are recorded, but not enforced`;
    return { status: 'warn', subject, observed, remedy: enforce(permissive) };
  }
  if (wrong.length > 0) {
    const reason = 'this policy allows no change of domain with NoNewPrivileges=yes';
    const { expected = '' } = selinuxDomain;
    return { status: 'skip', subject, expected, observed: `${names} ${reason}` };
  }
  const domains = namesOf(processes, ({ domain }) => domain);
  return { status: 'pass', subject, observed: domains || 'the module is installed, no service is running' };
}

function enforce(permissive: readonly string[]): string {
  const removed = permissive.map((name) => name.replace(/^(.*)\/(.*)$/, '-X $1 -r $2')).join(' ');
  return `If ausearch -m avc -se immutafs shows no denial, run in maintenance mode: semodule ${removed}, then reboot.`;
}

function domainOf(unit: string): string {
  return domains[unit] ?? 'immutafs_t';
}

/** Returns each name once, separated by spaces. */
function namesOf(processes: readonly ServiceProcess[], name: (process: ServiceProcess) => string): string {
  return [...new Set(processes.map(name))].join(' ');
}

export const autorelabelAbsent: Check = {
  id: 'autorelabel-absent',
  messageId: '0c2a40dd802c4df4877911a45cc8eb1d',
  subject: '/.autorelabel',
  expected: 'absent',
  evaluate: ({ autorelabel, selinux, kernelArgument, mode }) => {
    // selinux-autorelabel-generator.sh of policycoreutils accepts any value, and the word anywhere in an argument.
    const words = kernelArgument.filter((word) => /\bautorelabel\b/.test(word));
    const found = [
      ...(unwrap(autorelabel) ? ['/.autorelabel exists'] : []),
      ...words.map((word) => `kernel argument ${word}`),
    ];
    if (found.length === 0) return { status: 'pass', observed: 'absent' };
    if (!unwrap(selinux)) {
      const observed = `${found.join('; ')}; no effect, because SELinux is disabled`;
      return { status: 'pass', expected: 'absent, or SELinux disabled', observed };
    }
    const status = mode.mode === 'sealed' ? 'fail' : 'warn';
    const remedy = 'Boot with the disk writable, let the relabelling finish, then seal the disk.';
    return { status, observed: found.join('; '), remedy };
  },
};
