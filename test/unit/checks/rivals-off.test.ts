import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Status } from '../../../agent/checks/check.ts';
import { type Change, all, edit, file } from '../../harness/changes.ts';
import { findingOf, testChanges, testFindings } from '../../harness/finding.ts';
import { maintenanceGuest } from '../../harness/guest.ts';

testChanges('rivals-off', {
  'rhel-readonly is on': [
    file('etc/sysconfig/readonly-root', '# x\nREADONLY=no\nREADONLY="yes" # y\n'),
    { 'rivals-off': 'fail' },
    'READONLY=yes in /etc/sysconfig/readonly-root',
  ],
  'its temporary state is on': [
    file('etc/sysconfig/readonly-root', 'TEMPORARY_STATE=yes\n'),
    { 'rivals-off': 'fail' },
  ],
  'rhel-readonly is off': [
    file('etc/sysconfig/readonly-root', 'READONLY=yes\nREADONLY=no\n#READONLY=yes\n'),
    {},
  ],
  'overlayroot is on': [
    file('etc/overlayroot.conf', 'overlayroot_cfgdisk="disabled"\noverlayroot="tmpfs:recurse=0"\n'),
    { 'rivals-off': 'fail' },
    'overlayroot=tmpfs',
  ],
  'overlayroot is off by the kernel argument': [
    all(
      file('etc/overlayroot.conf', 'overlayroot="tmpfs"\n'),
      file('proc/cmdline', 'ro noresume overlayroot=disabled\n'),
    ),
    {},
  ],
  ...Object.fromEntries(
    [
      'readonlyroot',
      'overlayroot=tmpfs',
      'systemd.volatile=yes',
      'systemd.volatile',
      'rd.live.overlay.overlayfs=1',
      'rd.overlay',
      'lockfs',
    ].map((word): [string, [Change, Record<string, Status>, string]] => [
      `kernel argument ${word}`,
      [
        file('proc/cmdline', `ro noresume ${word} quiet\n`),
        { 'rivals-off': 'fail' },
        `kernel argument ${word}`,
      ],
    ]),
  ),
  'systemd.volatile=no': [file('proc/cmdline', 'ro noresume systemd.volatile=no xoverlayroot=1\n'), {}],
});

testFindings('rivals-off', {
  'rivals-off': {
    'between quotes': [file('proc/cmdline', 'x="a systemd.volatile=yes b"\n'), 'pass'],
    '/ is an overlay': [edit('root', '- xfs', '- overlay'), 'fail', '/ is an overlay'],
  },
});

const maintenance = suite('rivals-off in maintenance');
maintenance('another overlay program fails the check', async () => {
  const change = file('proc/cmdline', 'readonlyroot\n');
  assert.is((await findingOf('rivals-off', change, { guest: maintenanceGuest() })).status, 'fail');
});
maintenance.run();
