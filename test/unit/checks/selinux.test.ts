import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type Change,
  all,
  config,
  enforcingGuest,
  file,
  labels,
  moduleContexts,
  mount,
  selinux,
} from '../../harness/changes.ts';
import { findingOf, testChanges, testFindings } from '../../harness/finding.ts';
import { maintenanceGuest } from '../../harness/guest.ts';

/** Sets SELinux to enforcing mode, without file_contexts of a policy. */
const enforcing = (...types: string[]): Change => all(file('sys/fs/selinux/enforce', '1'), labels(...types));

const policy = selinux('1', moduleContexts);
testChanges(
  'selinux-labels',
  {
    'a label other than that of the policy': [
      selinux('1', `/var\t-d\ta:b:usr_t:s0\n/tmp -d a:b:tmp_t:s0\n${moduleContexts}`),
      labels('var_t', 'tmp_t'),
      'fail: /var is var_t, not usr_t',
    ],
    'the default label of the kernel': [policy, labels('tmpfs_t', 'tmp_t'), 'fail: /var is tmpfs_t'],
    '/tmp without a label': [policy, labels('var_t', 'unlabeled_t'), 'fail: /tmp is unlabeled_t'],
    permissive: [selinux('0', moduleContexts), labels('tmpfs_t', 'tmp_t'), 'warn'],
    'labels as they should be': [enforcingGuest, 'pass'],
    'stat(1) has no answer': [policy, labels(), 'error: did not return a label'],
  },
  { 'selinux-domain': 'pass' },
);

/** An overlay of OVERLAY, whose label must be that of the disk. */
const withOverlay = (...types: string[]): Change =>
  all(
    enforcing(...types),
    config('OVERLAY=/srv\n'),
    mount('view', '253:0 / /run/immutafs/root ro - xfs /dev/mapper/rhel-root ro'),
    mount(
      'srv',
      '0:50 / /srv rw,nosuid,nodev - overlay immutafs rw,lowerdir=/run/immutafs/root/srv,upperdir=/run/var/below/srv/upper,workdir=/run/var/below/srv/work',
    ),
  );

testFindings('selinux-labels', {
  'an overlay of OVERLAY with the label of the disk': [
    withOverlay('var_t', 'tmp_t', 'custom_t', 'custom_t'),
    'pass: var_t tmp_t custom_t',
  ],
  'an overlay of OVERLAY with another label': [
    withOverlay('var_t', 'tmp_t', 'tmpfs_t', 'custom_t'),
    'fail: /srv is tmpfs_t, not custom_t',
  ],
});

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
const permissive = (store: string, module: string): Change =>
  file(`${store}/targeted/active/modules/${module}/cil`, '');
const withoutModule = all(
  selinux('1', '/var -d a:b:var_t:s0\n/tmp -d a:b:tmp_t:s0\n'),
  labels('var_t', 'tmp_t'),
);

testChanges(
  id,
  {
    'SELinux is enabled, and the module is installed': [enforcingGuest, 'pass'],
    'the module is not installed': [withoutModule, 'warn: module immutafs is not installed'],
  },
  { 'selinux-labels': 'pass' },
);

testFindings(id, {
  'SELinux is disabled': [() => undefined, 'skip: not enabled'],
  'selinuxfs is not visible': [file('proc/filesystems', 'nodev\tselinuxfs\n'), 'error: not mounted'],
  'no service runs': [enforcingGuest, 'pass: no service is running'],
  'each service runs in its domain': [
    all(enforcingGuest, forwarder('immutafs_forward_t'), check('immutafs_t')),
    /^pass: immutafs_t immutafs_forward_t$/,
  ],
  'a service that the policy does not know, with the hierarchy of RHEL 8': [
    all(enforcingGuest, canTransition, forwarder('unconfined_service_t', 'sys/fs/cgroup/systemd')),
    'warn: immutafs-forward.service runs in unconfined_service_t, not immutafs_forward_t',
  ],
  'the forwarder in the domain of the checks': [
    all(enforcingGuest, canTransition, forwarder('immutafs_t')),
    'warn: runs in immutafs_t, not immutafs_forward_t',
  ],
  'an early policy of RHEL 7: NoNewPrivileges=yes prevents the transition of the forwarder': [
    all(enforcingGuest, forwarder('init_t', 'sys/fs/cgroup/systemd'), check('immutafs_t')),
    'skip: allows no change of domain with NoNewPrivileges=yes',
  ],
  'both domains are permissive': [
    all(
      ...[enforcingGuest, forwarder('immutafs_forward_t')],
      ...['400/permissive_immutafs_t', '400/permissive_immutafs_forward_t'].map((name) =>
        permissive('var/lib/selinux', name),
      ),
    ),
    'warn: permissive_immutafs_forward_t permissive_immutafs_t: denials are recorded, but not enforced',
  ],
  'RHEL 7: a domain is permissive': [
    all(
      ...[enforcingGuest, forwarder('init_t'), check('immutafs_t')],
      permissive('etc/selinux', '400/permissive_immutafs_forward_t'),
    ),
    'warn: denials are recorded, but not enforced',
  ],
  'another domain is permissive': [
    all(enforcingGuest, permissive('var/lib/selinux', '400/permissive_httpd_t')),
    'pass: no service is running',
  ],
  'RHEL 7: the check runs in the domain of systemd': [
    all(enforcingGuest, check('init_t')),
    /^warn: immutafs-check.service runs in init_t, not immutafs_t$/,
  ],
  'the module is not installed, and the forwarder runs': [
    all(withoutModule, canTransition, forwarder('unconfined_service_t')),
    'warn: is not installed',
  ],
  'a process that has not run the program yet': [
    all(enforcingGuest, canTransition, forwarder('init_t'), file('proc/70/comm', '(forwarder)\n')),
    'pass: no service is running',
  ],
  'a process that has ended': [
    all(enforcingGuest, file('sys/fs/cgroup/system.slice/immutafs-check.service/cgroup.procs', '99\n')),
    'pass: no service is running',
  ],
});

/** Enables SELinux and makes a change. The labels of files do not matter in these tests. */
const relabelled = (change: Change): Change => all(file('sys/fs/selinux/enforce', '1'), change);

testChanges(
  'autorelabel-absent',
  {
    '/.autorelabel exists': [enforcingGuest, file('.autorelabel', ''), 'fail: /.autorelabel exists'],
    'the kernel argument requests a relabelling': [
      all(enforcingGuest, file('proc/cmdline', 'ro noresume autorelabel=1\n')),
      'fail: kernel argument autorelabel=1',
    ],
  },
  { 'selinux-labels': 'pass', 'selinux-domain': 'pass' },
);

const remedies = suite('selinux-domain: the remedy for permissive domains');
for (const [modules, command] of [
  [['200/immutafs-permissive'], 'semodule -X 200 -r immutafs-permissive,'],
  [
    ['400/permissive_immutafs_t', '200/immutafs-permissive'],
    'semodule -X 400 -r permissive_immutafs_t -X 200 -r immutafs-permissive,',
  ],
] as const)
  remedies(modules.join(' '), async () => {
    const changes = modules.map((name) => permissive('var/lib/selinux', name));
    const { status, remedy } = await findingOf(id, all(enforcingGuest, ...changes));
    assert.is(status, 'warn');
    assert.match(remedy, `run in maintenance mode: ${command} then reboot.`);
  });
remedies.run();

testFindings('autorelabel-absent', {
  'the file, with SELinux off': [file('.autorelabel', ''), 'pass: no effect, because SELinux is disabled'],
  'the kernel argument without a value': [relabelled(file('proc/cmdline', 'ro autorelabel\n')), 'fail'],
  'the kernel argument autorelabel=0 also counts': [
    relabelled(file('proc/cmdline', 'ro autorelabel=0\n')),
    'fail: autorelabel=0',
  ],
  'another argument': [relabelled(file('proc/cmdline', 'ro noautorelabel autorelabels\n')), 'pass'],
  'between quotes, where policycoreutils finds it': [
    relabelled(file('proc/cmdline', 'foo="bar autorelabel baz"\n')),
    'fail: kernel argument foo=bar autorelabel baz',
  ],
});

testFindings(
  'autorelabel-absent: in maintenance',
  {
    'the file': [relabelled(file('.autorelabel', '')), 'warn'],
    'the file, with a policy': [enforcingGuest, file('.autorelabel', ''), 'warn'],
  },
  { guest: maintenanceGuest },
);
