import { type Change, all, enforcingGuest, file, labels, selinux } from '../../harness/changes.ts';
import { testChanges, testFindings } from '../../harness/finding.ts';

const id = 'selinux-domain';

/** Adds a running process of a service. */
const process =
  (unit: string, pid: number, domain: string, cgroup = 'sys/fs/cgroup'): Change =>
  (guest) => {
    file(`${cgroup}/system.slice/${unit}/cgroup.procs`, `${pid}\n`)(guest);
    file(`proc/${pid}/attr/current`, `system_u:system_r:${domain}:s0\0`)(guest);
  };
const forwarder = (domain: string, cgroup?: string): Change =>
  process('immutafs-forward.service', 70, domain, cgroup);
const check = (domain: string): Change => process('immutafs-check.service', 71, domain);
const canTransition = file('sys/fs/selinux/policy_capabilities/nnp_nosuid_transition', '1\n');
const permissive = (store: string): Change =>
  file(`${store}/targeted/active/modules/200/immutafs-permissive/cil`, '');
const withoutModule = all(
  selinux('1', '/var -d a:b:var_t:s0\n/tmp -d a:b:tmp_t:s0\n'),
  labels('var_t', 'tmp_t'),
);

testChanges(id, {
  'SELinux is enabled, and the module is installed': [
    enforcingGuest,
    { [id]: 'pass', 'selinux-labels': 'pass' },
  ],
  'the module is not installed': [
    withoutModule,
    { [id]: 'warn', 'selinux-labels': 'pass' },
    'module immutafs is not installed',
  ],
});

testFindings(id, {
  [id]: {
    'SELinux is disabled': [() => undefined, 'skip', 'not enabled'],
    'selinuxfs is not visible': [file('proc/filesystems', 'nodev\tselinuxfs\n'), 'error', 'not mounted'],
    'no service runs': [enforcingGuest, 'pass', 'no service is running'],
    'each service runs in its domain': [
      all(enforcingGuest, forwarder('immutafs_forward_t'), check('immutafs_t')),
      'pass',
      /^immutafs_t immutafs_forward_t$/,
    ],
    'a service that the policy does not know, with the hierarchy of RHEL 8': [
      all(enforcingGuest, canTransition, forwarder('unconfined_service_t', 'sys/fs/cgroup/systemd')),
      'warn',
      'immutafs-forward.service runs in unconfined_service_t, not immutafs_forward_t',
    ],
    'the forwarder in the domain of the checks': [
      all(enforcingGuest, canTransition, forwarder('immutafs_t')),
      'warn',
      'runs in immutafs_t, not immutafs_forward_t',
    ],
    'an early policy of RHEL 7: NoNewPrivileges=yes prevents the transition of the forwarder': [
      all(enforcingGuest, forwarder('init_t', 'sys/fs/cgroup/systemd'), check('immutafs_t')),
      'skip',
      'allows no change of domain with NoNewPrivileges=yes',
    ],
    'the domains are permissive': [
      all(enforcingGuest, forwarder('immutafs_forward_t'), permissive('var/lib/selinux')),
      'warn',
      'denials are recorded, but not enforced',
    ],
    'RHEL 7: the domains are permissive': [
      all(enforcingGuest, forwarder('init_t'), check('immutafs_t'), permissive('etc/selinux')),
      'warn',
      'denials are recorded, but not enforced',
    ],
    'RHEL 7: the check runs in the domain of systemd': [
      all(enforcingGuest, check('init_t')),
      'warn',
      /^immutafs-check.service runs in init_t, not immutafs_t$/,
    ],
    'the module is not installed, and the forwarder runs': [
      all(withoutModule, canTransition, forwarder('unconfined_service_t')),
      'warn',
      'is not installed',
    ],
    'a process that has not run the program yet': [
      all(enforcingGuest, canTransition, forwarder('init_t'), file('proc/70/comm', '(forwarder)\n')),
      'pass',
      'no service is running',
    ],
    'a process that has ended': [
      all(enforcingGuest, file('sys/fs/cgroup/system.slice/immutafs-check.service/cgroup.procs', '99\n')),
      'pass',
      'no service is running',
    ],
  },
});
