import { all, disk, file } from '../../harness/changes.ts';
import { testChanges, testFindings } from '../../harness/finding.ts';

testChanges('kernel-lockdown-hints', {
  'the disk is read-only only by a flag': [
    disk({ offered: false, readOnly: true }),
    { 'kernel-lockdown-hints': 'warn', 'host-enforced': 'fail', 'foreign-programs': 'skip' },
    'writable by root in the guest',
  ],
});

testFindings('kernel-lockdown-hints', {
  'kernel-lockdown-hints': {
    'the host enforces read-only; nothing is known of the kernel': [
      all(
        file('proc/sys/kernel/kexec_load_disabled', undefined),
        file('sys/module/module/parameters/sig_enforce', undefined),
      ),
      'pass',
      'not writable from the guest (lockdown: not supported, modules: unknown, kexec: unknown)',
    ],
    'what the kernel prevents is shown': [
      (guest) => {
        file('sys/kernel/security/lockdown', 'none [integrity] confidentiality\n')(guest);
        file('proc/sys/kernel/modules_disabled', '1\n')(guest);
        file('proc/sys/kernel/kexec_load_disabled', '1\n')(guest);
      },
      'pass',
      'lockdown: integrity, modules: disabled, kexec: disabled',
    ],
  },
});
