import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Status } from '../../../agent/checks/check.ts';
import { type Change, all, config, edit, mount, without } from '../../harness/changes.ts';
import { findingOf, testChanges } from '../../harness/finding.ts';

testChanges('options', {
  ...Object.fromEntries(
    ['noexec', 'nosuid', 'nodev'].flatMap((option) =>
      ['home', 'tmp'].map((name) => [
        `/${name} lacks ${option}`,
        [
          edit(name, new RegExp(`\\b${option},?`), ''),
          {
            [`${name}-options`]: 'fail',
            // /home is on a disk that persists.
            ...(name === 'home' && option === 'noexec' ? { footholds: 'warn' } : {}),
          },
          `without ${option}`,
        ] as [Change, Record<string, Status>, string],
      ]),
    ),
  ),
  '/home is part of /': [
    without('home'),
    { 'home-options': 'fail', 'fstab-consistent': 'fail' },
    'not a mount point but part of /',
  ],
  'there is no /home': [
    all(without('home'), ({ directories }) => directories.splice(directories.indexOf('home'), 1)),
    { 'home-options': 'skip', 'fstab-consistent': 'fail' },
  ],
  'the options of a file system do not count, only the mount does': [
    all(edit('tmp', 'noexec,', ''), edit('tmp', 'rw,seclabel', 'rw,noexec,seclabel')),
    { 'tmp-options': 'fail' },
  ],
  'a later mount on /tmp counts': [
    ({ mounts }) => {
      mounts['bind'] = '253:0 /var/tmp /tmp rw,relatime - xfs /dev/mapper/rhel-root rw';
    },
    { 'tmp-options': 'fail', 'stacked-mounts': 'fail' },
  ],
  'another target with its options': [
    config('REQUIRE_OPTIONS=/home:nosuid /tmp:nodev /run:nosuid,nodev\n'),
    { 'other-options': 'pass' },
  ],
  'another target without its options': [
    config('REQUIRE_OPTIONS=/home:nosuid /tmp:nodev /run:noexec\n'),
    { 'other-options': 'fail' },
  ],
  'a mount below /home without an option': [
    mount('below', '0:60 / /home/alice/x rw,nosuid,nodev - tmpfs a rw'),
    { 'home-options': 'fail' },
    'tmpfs at /home/alice/x without noexec',
  ],
  'mounts below /home with the options, or read-only': [
    all(
      mount('good', '0:60 / /home/a rw,noexec,nosuid,nodev - tmpfs a rw'),
      mount('readonly', '0:61 / /home/b ro,nosuid,nodev - tmpfs b rw'),
      mount('beside', '0:62 / /homes rw,nosuid,nodev - tmpfs b rw'),
    ),
    {},
  ],
});

const probes = suite('option-probes');
for (const [kind, good, bad] of [
  ['exec', 'EACCES', 'RAN'],
  ['suid', 'IGNORED', 'HONOURED'],
  ['device', 'EACCES', 'OPENED'],
] as const) {
  for (const [answer, status] of [
    [good, 'pass'],
    [bad, 'fail'],
    ['TIMEOUT', 'error'],
    ['ENOSPC', 'error'],
    ['EPERM', 'error'],
  ] as const) {
    probes(`${kind} answers ${answer}`, async () => {
      const change: Change = ({ answers }) => {
        answers.probes[kind] = answer;
      };
      assert.is((await findingOf(`${kind}-probe`, change)).status, status);
      const untried = await findingOf(`${kind}-probe`, change, { probe: false });
      assert.is(untried.status, 'skip', 'without --probe');
    });
  }
}
probes('an option that is not required is not tried', async () => {
  const change = config('REQUIRE_OPTIONS=/home:nosuid\n');
  assert.is((await findingOf('exec-probe', change)).status, 'skip');
  assert.is((await findingOf('suid-probe', change)).status, 'pass');
});
probes.run();
