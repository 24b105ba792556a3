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
import { testChanges, testFindings } from '../../harness/finding.ts';

/** Sets SELinux to enforcing mode, without file_contexts of a policy. */
const enforcing = (...types: string[]): Change => all(file('sys/fs/selinux/enforce', '1'), labels(...types));

testChanges('selinux-labels', {
  'a label other than that of the policy': [
    all(
      selinux('1', `/var\t-d\ta:b:usr_t:s0\n/tmp -d a:b:tmp_t:s0\n${moduleContexts}`),
      labels('var_t', 'tmp_t'),
    ),
    { 'selinux-labels': 'fail', 'selinux-domain': 'pass' },
    '/var is var_t, not usr_t',
  ],
  'the default label of the kernel': [
    all(selinux('1', moduleContexts), labels('tmpfs_t', 'tmp_t')),
    { 'selinux-labels': 'fail', 'selinux-domain': 'pass' },
    '/var is tmpfs_t',
  ],
  '/tmp without a label': [
    all(selinux('1', moduleContexts), labels('var_t', 'unlabeled_t')),
    { 'selinux-labels': 'fail', 'selinux-domain': 'pass' },
    '/tmp is unlabeled_t',
  ],
  'the same, permissive': [
    all(selinux('0', moduleContexts), labels('tmpfs_t', 'tmp_t')),
    { 'selinux-labels': 'warn', 'selinux-domain': 'pass' },
  ],
  'labels as they should be': [enforcingGuest, { 'selinux-labels': 'pass', 'selinux-domain': 'pass' }],
  'stat(1) has no answer': [
    all(selinux('1', moduleContexts), labels()),
    { 'selinux-labels': 'error', 'selinux-domain': 'pass' },
    'did not return a label',
  ],
});

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
  'selinux-labels': {
    'an overlay of OVERLAY with the label of the disk': [
      withOverlay('var_t', 'tmp_t', 'custom_t', 'custom_t'),
      'pass',
      'var_t tmp_t custom_t',
    ],
    'an overlay of OVERLAY with another label': [
      withOverlay('var_t', 'tmp_t', 'tmpfs_t', 'custom_t'),
      'fail',
      '/srv is tmpfs_t, not custom_t',
    ],
  },
});
