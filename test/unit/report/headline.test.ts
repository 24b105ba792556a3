import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { headline, loginMessage } from '../../../agent/report/headline.ts';
import type { Report } from '../../../agent/report/report.ts';
import { finding, sample } from '../../harness/sample-report.ts';

const boot: Report['boot'] = {
  stage: 'initramfs',
  version: '1.2.3',
  at: '2026-03-04T05:06:07.089Z',
  ageSeconds: 7300,
  says: [],
  warnings: [],
  errors: [],
};
const open: Report = {
  ...{ ...sample, boot, checks: [] },
  ...{ mode: 'maintenance', verdict: 'maintenance', enforcement: 'none' },
};
const checks = [
  finding('fail', 'required', 'home-options'),
  finding('fail', 'advisory', 'initramfs-hook'),
  finding('warn', 'required', 'tmp-options'),
  finding('error', 'required', 'mtab-link'),
];

const rehearsal: Report = {
  ...{
    ...sample,
    boot,
    checks: [finding('pass')],
    mode: 'sealed',
    verdict: 'rehearsal',
    enforcement: 'guest',
  },
  rehearsal: { limitSeconds: 1800, endsAt: '2026-03-04T05:36:07.089Z' },
};
const login = suite('the login message');
const since = 'Maintenance since 2026-03-04 05:06 UTC (2 h ago): changes to the system disk persist.';
const unknown = 'Maintenance since the start of this boot: changes to the system disk persist.';
const todo = 'List the steps that remain before sealing: immutafs-agent check --ready-to-seal';
const failing = 'Checks that do not pass: home-options, mtab-link. Details: immutafs-agent status';
for (const [title, report, lines] of [
  ['maintenance', open, [since, todo]],
  ['maintenance without a boot record', { ...open, boot: null }, [unknown, todo]],
  ['maintenance, and checks fail', { ...open, checks }, [since, todo, failing]],
  ['sealed', { ...sample, boot, checks: [finding('pass')] }, []],
  ['sealed, and checks fail', { ...sample, boot, checks }, [failing]],
  ['off', { ...open, mode: 'off', verdict: 'off' }, []],
  [
    'a rehearsal',
    rehearsal,
    [
      'Rehearsal of a sealed boot, which this guest alone enforces. It ends by a reboot at 2026-03-04 05:36 UTC.',
      'Result so far: immutafs-agent prepare; to end it now: immutafs-agent prepare --end-rehearsal',
    ],
  ],
] satisfies [string, Report, string[]][]) {
  login(title, () => {
    assert.is(loginMessage(report), lines.map((line) => `immutafs-agent: ${line}\n`).join(''));
  });
}
login.run();

const sentence = suite('the headline');
const failed: Report = { ...sample, verdict: 'failed', mode: 'sealed', checks };
for (const [title, report, word, expected] of [
  ['sealed', { ...sample, verdict: 'sealed', enforcement: 'host' }, 'SEALED', 'the host enforces read-only'],
  [
    'rehearsal',
    rehearsal,
    'REHEARSAL',
    'only the guest enforces read-only, which root in the guest can undo',
  ],
  [
    'only required checks are named',
    { ...failed, enforcement: 'host' },
    'FAILED',
    'home-options; the host enforces read-only',
  ],
  [
    'some disks',
    { ...failed, enforcement: 'partial' },
    'FAILED',
    'home-options; the host enforces read-only on some system disks only',
  ],
  [
    'the guest alone',
    { ...failed, enforcement: 'guest' },
    'FAILED',
    'home-options; only the guest enforces read-only, which root in the guest can undo',
  ],
  ['nothing', { ...failed, enforcement: 'none' }, 'FAILED', 'home-options; nothing enforces read-only'],
  ['no disks', { ...failed, disks: [] }, 'FAILED', 'home-options; no disk could be examined'],
  [
    'unknown',
    { ...failed, verdict: 'unknown', enforcement: 'host' },
    'UNKNOWN',
    'could not evaluate mtab-link; the host enforces read-only',
  ],
  [
    'a namespace that is not the guest: nothing is said about its disks',
    { ...failed, verdict: 'unknown', checks: [finding('error', 'required', 'kernel-view')] },
    'UNKNOWN',
    'could not evaluate kernel-view',
  ],
  ['maintenance', open, 'MAINTENANCE', 'the host left the system disk writable'],
  [
    'a failure in maintenance',
    { ...open, verdict: 'failed', checks },
    'FAILED',
    'home-options; the host left the system disk writable',
  ],
  [
    'off',
    { ...open, mode: 'off', verdict: 'off' },
    'OFF',
    'immutafs is switched off; this guest is not sealed; the host left the system disk writable',
  ],
] satisfies [string, Report, string, string][]) {
  sentence(title, () => {
    const { word: shown, sentence: text } = headline(report);
    assert.equal([shown, text], [word, expected]);
  });
}

sentence('maintenance: a command for each system disk that the host left writable', () => {
  const [first] = sample.disks;
  assert.ok(first);
  const disks = [
    { ...first, name: 'vda', holds: ['/'], hostReadOnly: false },
    { ...first, name: 'vdb', holds: ['/boot'], hostReadOnly: null },
    { ...first, name: 'vdc', holds: ['/usr'], hostReadOnly: true },
    { ...first, name: 'vdd', holds: ['/home'], hostReadOnly: false },
    { ...first, name: 'sda', bus: 'ata', holds: ['/usr'], hostReadOnly: false },
  ];
  const { steps } = headline({ ...open, disks });
  const text = steps.map((step) => step.text).join('\n');
  assert.equal(
    [...text.matchAll(/target=(\w+) --disk readonly=on/g)].map(([, name]) => name),
    ['vda', 'vdb'],
  );
  assert.match(text, 'move sda from ATA to virtio-scsi');
});
sentence.run();
