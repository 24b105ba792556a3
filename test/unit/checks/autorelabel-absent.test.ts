import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Change, all, enforcingGuest, file } from '../../harness/changes.ts';
import { findingOf, testChanges, testFindings } from '../../harness/finding.ts';
import { maintenanceGuest } from '../../harness/guest.ts';

/** Enables SELinux and makes a change. The labels of files do not matter in these tests. */
const relabelled = (change: Change): Change => all(file('sys/fs/selinux/enforce', '1'), change);

testChanges('autorelabel-absent', {
  '/.autorelabel exists': [
    all(enforcingGuest, file('.autorelabel', '')),
    { 'autorelabel-absent': 'fail', 'selinux-labels': 'pass', 'selinux-domain': 'pass' },
    '/.autorelabel exists',
  ],
  'the kernel argument requests a relabelling': [
    all(enforcingGuest, file('proc/cmdline', 'ro noresume autorelabel=1\n')),
    { 'autorelabel-absent': 'fail', 'selinux-labels': 'pass', 'selinux-domain': 'pass' },
    'kernel argument autorelabel=1',
  ],
});

testFindings('autorelabel-absent', {
  'autorelabel-absent': {
    'the file': [relabelled(file('.autorelabel', '')), 'fail', '/.autorelabel exists'],
    'the file, with SELinux off': [
      file('.autorelabel', ''),
      'pass',
      'no effect, because SELinux is disabled',
    ],
    'the kernel argument': [
      relabelled(file('proc/cmdline', 'ro autorelabel=1\n')),
      'fail',
      'kernel argument autorelabel=1',
    ],
    'the kernel argument without a value': [relabelled(file('proc/cmdline', 'ro autorelabel\n')), 'fail'],
    'the kernel argument autorelabel=0 also counts': [
      relabelled(file('proc/cmdline', 'ro autorelabel=0\n')),
      'fail',
      'autorelabel=0',
    ],
    'another argument': [relabelled(file('proc/cmdline', 'ro noautorelabel autorelabels\n')), 'pass'],
    'between quotes, where policycoreutils finds it': [
      relabelled(file('proc/cmdline', 'foo="bar autorelabel baz"\n')),
      'fail',
      'kernel argument foo=bar autorelabel baz',
    ],
  },
});

const maintenance = suite('autorelabel-absent in maintenance');
for (const [title, change] of Object.entries({
  'the file': relabelled(file('.autorelabel', '')),
  'the file, with a policy': all(enforcingGuest, file('.autorelabel', '')),
})) {
  maintenance(`${title}: only a warning`, async () => {
    const { status } = await findingOf('autorelabel-absent', change, { guest: maintenanceGuest() });
    assert.is(status, 'warn');
  });
}
maintenance.run();
