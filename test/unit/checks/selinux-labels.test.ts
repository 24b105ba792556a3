import { type Change, all, enforcingGuest, file, labels, selinux } from '../../harness/changes.ts';
import { testChanges, testFindings } from '../../harness/finding.ts';

/** Sets SELinux to enforcing mode, without file_contexts of a policy. */
const enforcing = (...types: string[]): Change => all(file('sys/fs/selinux/enforce', '1'), labels(...types));

testChanges('selinux-labels', {
  'a label other than that of the policy': [
    all(selinux('1', '/var\t-d\ta:b:usr_t:s0\n/tmp -d a:b:tmp_t:s0\n'), labels('var_t', 'tmp_t')),
    { 'selinux-labels': 'fail' },
    '/var is var_t, not usr_t',
  ],
  'the default label of the kernel': [
    all(selinux('1', ''), labels('tmpfs_t', 'tmp_t')),
    { 'selinux-labels': 'fail' },
    '/var is tmpfs_t',
  ],
  '/tmp without a label': [
    all(selinux('1', ''), labels('var_t', 'unlabeled_t')),
    { 'selinux-labels': 'fail' },
    '/tmp is unlabeled_t',
  ],
  'the same, permissive': [all(selinux('0', ''), labels('tmpfs_t', 'tmp_t')), { 'selinux-labels': 'warn' }],
  'labels as they should be': [enforcingGuest, { 'selinux-labels': 'pass' }],
  'stat(1) has no answer': [
    all(selinux('1', ''), labels()),
    { 'selinux-labels': 'error' },
    'did not return a label',
  ],
});

testFindings('selinux-labels', {
  'selinux-labels': {
    'the labels of the policy': [enforcing('var_t', 'tmp_t'), 'pass', 'var_t tmp_t'],
    'tmpfs_t, enforcing': [enforcing('tmpfs_t', 'tmp_t'), 'fail', '/var is tmpfs_t'],
    'tmpfs_t, permissive': [all(enforcing('tmpfs_t', 'tmp_t'), file('sys/fs/selinux/enforce', '0')), 'warn'],
    'stat(1) has no answer': [
      file('sys/fs/selinux/enforce', '1'),
      'error',
      'did not return a label for each of',
    ],
  },
});
