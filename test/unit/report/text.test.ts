import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { documentedChecks } from '../../../agent/checks/documented.ts';
import { UsageError } from '../../../agent/lib/errors.ts';
import { explain } from '../../../agent/report/explain.ts';
import { type Line, layOut } from '../../../agent/report/layout.ts';
import { headline, loginMessage } from '../../../agent/report/headline.ts';
import type { Report } from '../../../agent/report/report.ts';
import { finding, sample } from '../../harness/sample-report.ts';
import fs from 'node:fs';
import path from 'node:path';
import { formatText } from '../../../agent/report/text.ts';
import { edit, file, tryWrite } from '../../harness/changes.ts';
import { type Guest, bootEnv, goodGuest, maintenanceGuest, evaluateFixture } from '../../harness/guest.ts';

const words = 'one two three four five six seven eight nine ten eleven twelve';
const layout = suite('layout');
for (const [title, line, columns, expected] of [
  ['no terminal: one line', { label: '  a: ', text: words }, undefined, [`  a: ${words}`]],
  [
    'a hanging indent',
    { label: '  a: ', text: words },
    45,
    ['  a: one two three four five six seven eight', '     nine ten eleven twelve'],
  ],
  [
    'the gap counts for the indent',
    { label: '  a:', gap: '   ', text: words },
    45,
    ['  a:   one two three four five six seven', '       eight nine ten eleven twelve'],
  ],
  [
    'a label of more than half of the terminal: a small indent',
    { label: `${'x'.repeat(29)} `, text: words },
    40,
    [`${'x'.repeat(29)} one two`, '    three four five six seven eight nine', '    ten eleven twelve'],
  ],
  [
    'a terminal without a usable width: 40 columns',
    { label: '', text: words.slice(0, 41) },
    1,
    ['one two three four five six seven eight', 'n'],
  ],
  [
    'a word that is too long is not broken',
    { label: '', text: `a ${'b'.repeat(50)} c` },
    40,
    ['a', 'b'.repeat(50), 'c'],
  ],
  ['an empty line', { label: '', text: '' }, 80, ['']],
] as [string, Line, number | undefined, string[]][]) {
  layout(title, () => {
    assert.equal(layOut([line], { color: false, columns }).split('\n'), [...expected, '']);
  });
}
layout('every line of a coloured text ends its colour', () => {
  const shown = layOut([{ label: 'a: ', text: words, labelStyle: ['red', 'bold'], textStyle: 'dim' }], {
    color: true,
    columns: 40,
  });
  assert.is(shown.trimEnd().split('\n').length, 2);
  for (const each of shown.trimEnd().split('\n')) assert.match(each, /\x1b\[22m$/); // oxlint-disable-line no-control-regex -- colours
});

const explained = suite('explain');
for (const { id, title } of documentedChecks) {
  explained(id, () => {
    const shown = explain(id);
    assert.ok(shown.startsWith(`${id}: ${title}\n`) && shown.endsWith('\n'), shown);
    assert.equal(
      shown.split('\n').filter((line) => line.length > 80),
      [],
    );
  });
}
explained('an unknown check', () => {
  assert.throws(
    () => explain('root'),
    (error: unknown) => error instanceof UsageError && /root-readonly/.test(error.message),
  );
});

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

const sentence = suite('the headline');
const failed: Report = { ...sample, verdict: 'failed', mode: 'sealed', checks };
const guestOnly = 'only the guest enforces read-only, which root in the guest can undo';
const elsewhere = [finding('error', 'required', 'kernel-view')];
const unknownReport: Report = { ...failed, verdict: 'unknown', enforcement: 'host' };
for (const [report, expected] of [
  [{ ...sample, verdict: 'sealed', enforcement: 'host' }, 'SEALED: the host enforces read-only'],
  [
    { ...sample, verdict: 'unenforced', enforcement: 'guest' },
    'UNENFORCED: not sealed by the host; only the guest enforces read-only, which root in the guest can undo',
  ],
  [rehearsal, `REHEARSAL: ${guestOnly}`],
  [{ ...failed, enforcement: 'host' }, 'FAILED: home-options; the host enforces read-only'],
  [
    { ...failed, enforcement: 'partial' },
    'FAILED: home-options; the host enforces read-only on some system disks only',
  ],
  [{ ...failed, enforcement: 'guest' }, `FAILED: home-options; ${guestOnly}`],
  [{ ...failed, enforcement: 'none' }, 'FAILED: home-options; nothing enforces read-only'],
  [{ ...failed, disks: [] }, 'FAILED: home-options; no disk could be examined'],
  [unknownReport, 'UNKNOWN: could not evaluate mtab-link; the host enforces read-only'],
  // In a namespace that is not the guest, nothing is said about its disks.
  [{ ...unknownReport, checks: elsewhere }, 'UNKNOWN: could not evaluate kernel-view'],
  [open, 'MAINTENANCE: the host left the system disk writable'],
  [{ ...open, verdict: 'failed', checks }, 'FAILED: home-options; the host left the system disk writable'],
  [
    { ...open, mode: 'off', verdict: 'off' },
    'OFF: immutafs is switched off; this guest is not sealed; the host left the system disk writable',
  ],
] satisfies [Report, string][]) {
  sentence(expected, () => {
    const { word, sentence: shown } = headline(report);
    assert.is(`${word}: ${shown}`, expected);
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
  assert.match(text, 'move sda from ata to virtio-scsi first');
});

const plain = { all: false, color: false, columns: undefined };
const full = { ...plain, all: true };
const terminal = { ...plain, columns: 80 };

const golden = suite('text: golden files');
for (const [file, view] of Object.entries({ 'failed.txt': terminal, 'failed-all.txt': full })) {
  golden(file, () => {
    const expected = path.join(import.meta.dirname, '../../fixtures/report', file);
    assert.is(formatText(sample, view), fs.readFileSync(expected, 'utf8'));
  });
}

function reportOf(...changes: ((guest: Guest) => void)[]): Promise<Report> {
  const guest = goodGuest();
  for (const change of changes) change(guest);
  return evaluateFixture(guest);
}

const lines = suite('text: the default view');
lines('a healthy sealed guest fits a terminal of 24 lines and 80 columns', async () => {
  const report = await reportOf();
  const shown = formatText(report, terminal).split('\n');
  assert.is(shown.pop(), '');
  // One line of the terminal must remain for the prompt.
  assert.ok(shown.length < 24, shown.join('\n'));
  for (const line of shown) assert.ok(line.length <= 80, line);
  for (const { id } of report.checks)
    assert.not.ok(
      shown.some((line) => line.includes(id)),
      id,
    );
});

lines('the paths of OVERLAY that are writable have one line; without any, there is none', () => {
  const none = { options: [], reason: '', lower: null, upper: null };
  const overlays = ['/opt', '/root'].map((target) => ({ ...none, target, state: 'overlay' as const }));
  const refused = { ...none, target: '/usr', state: 'refused' as const };
  assert.match(
    formatText({ ...sample, overlays: [...overlays, refused] }, plain),
    /also +overlays in RAM: \/opt \/root\n/,
  );
  assert.not.match(formatText({ ...sample, overlays: [refused] }, plain), 'overlays in RAM');
});

lines('with the settings of an ordinary kernel, it still fits', async () => {
  const report = await reportOf(
    file('proc/sys/vm/memfd_noexec', '0'),
    file('proc/sys/user/max_user_namespaces', '1000'),
    file('proc/sys/kernel/yama/ptrace_scope', '0'),
    file('proc/sys/kernel/kexec_load_disabled', '0'),
    file('sys/module/module/parameters/sig_enforce', 'N'),
  );
  assert.equal(
    report.checks
      .filter(({ status }) => !['pass', 'skip'].includes(status))
      .map(({ id, status }) => [id, status]),
    [['exec-bypass', 'warn']],
  );
  const shown = formatText(report, terminal).split('\n').slice(0, -1);
  assert.ok(shown.length < 24, shown.join('\n'));
});

lines('every check that is neither pass nor skip, with observation and remedy', async () => {
  const report = await reportOf(edit('home', 'noexec,', ''), tryWrite('EIO'));
  const text = formatText(report, plain);
  const notable = report.checks.filter(({ status }) => status !== 'pass' && status !== 'skip');
  assert.equal(
    notable.map(({ id, status }) => [id, status]),
    [
      ['root-write-probe', 'error'],
      ['home-options', 'fail'],
      ['footholds', 'warn'],
    ],
  );
  for (const { id, subject, observed, remedy } of notable) {
    assert.match(text, ` ${id}: ${subject === '' ? observed : `${subject}: ${observed}`}\n`);
    assert.match(text, remedy === '' ? `immutafs-agent status --explain ${id}\n` : ` ${remedy}\n`);
  }
  for (const { id } of report.checks.filter((each) => !notable.includes(each))) {
    assert.not.match(text, new RegExp(`^ +\\w+ +${id}:`, 'm'));
  }
});

lines('--all shows every check with its status and observation', async () => {
  const report = await reportOf();
  const text = formatText(report, full);
  for (const { id, status, observed } of report.checks) {
    assert.match(text, new RegExp(`^ +${status} +${id} .*${observed.replace(/[^\w ]/g, '.')}$`, 'm'));
  }
});

lines('the attack surface has at most two lines, however many mounts there are', () => {
  const footholds = Array.from({ length: 3000 }, (_, index) => ({
    ...{ target: `/srv/${index}`, executable: true, persistent: index % 2 === 0 },
    ...{ reason: 'x', tighten: 'y' },
  }));
  const without = formatText(sample, terminal).split('\n');
  const shown = formatText({ ...sample, footholds }, terminal).split('\n');
  assert.is(shown.length - without.length, 3, 'a blank line and two others');
  for (const line of shown) assert.ok(line.length <= 80, line);
  assert.match(shown.at(-3) ?? '', /3000 .*1500 /);
  assert.match(shown.at(-2) ?? '', /^ +\/srv\/0 .* and 29\d\d more /);
});

lines('the attack surface shows the first mount point, even if it is long or the terminal narrow', () => {
  const footholds = ['/srv/'.padEnd(300, 'x'), '/dev', '/run'].map((target) => ({
    ...{ target, executable: true, persistent: false, reason: 'x', tighten: 'y' },
  }));
  for (const columns of [0, 1, 20, 80]) {
    const shown = formatText({ ...sample, footholds }, { ...terminal, columns }).split('\n');
    assert.ok(
      shown.some((line) => /^ +\/srv\/x*….* and 2 more/.test(line)),
      shown.join('\n'),
    );
  }
});

lines('a long observation cannot imitate the line with the remedy', () => {
  const observed = `${'x'.repeat(70)} to fix: run evil`;
  const checks = [{ ...finding('fail', 'required', 'home-options'), observed, remedy: 'good' }];
  const shown = formatText({ ...sample, checks }, terminal).split('\n');
  assert.equal(
    shown.filter((line) => /^ {9}to fix:/.test(line)),
    ['         to fix: good'],
  );
});

lines('without root, the default view says that the guest itself was not verified', () => {
  const checks = [finding('skip', 'required', 'kernel-view'), finding('skip', 'required', 'swap-off')];
  const text = formatText({ ...sample, checks }, plain);
  assert.match(text, /\n {2}skip +kernel-view: /);
  assert.not.match(text, 'swap-off');
});

lines('many disks: the system disk first, the others are counted', () => {
  const [system, data] = sample.disks;
  assert.ok(system && data);
  const many = Array.from({ length: 9 }, (_, index) => ({ ...data, name: `vd${index}` }));
  const text = formatText({ ...sample, disks: [...many, system] }, plain);
  assert.match(text, /\n {2}vda .*\n {2}vd0 .*\n {2}vd1 .*\n {2}vd2 .*\n +and 6 more \(/);
});

const forward: NonNullable<Report['forward']> = {
  ...{ target: 'relp://log', state: 'connected', since: sample.at, lastAckAt: null, error: '', sources: [] },
  lostFiles: 0,
  ...{ acknowledged: 9, repeated: 0, lost: 0, corrupt: 0, refused: 0, cut: 0, suppressed: 0 },
  lag: { entries: 0, seconds: 0 },
};
const source = { path: '/var/log/a.log', acknowledgedBytes: 5, behindBytes: 0, lostBytes: 0, error: '' };
const threeSources = [source, { ...source, error: 'permission denied' }, { ...source, lostBytes: 2048 }];
const unforwarded = { ...finding('skip', 'required', 'forward-healthy'), observed: 'not forwarded' };
for (const [report, expected] of [
  [
    { forward: { ...forward, lag: { entries: 3, seconds: 1 } } },
    'relp://log: connected, 3 entries not acknowledged',
  ],
  [
    {
      forward: {
        ...{ ...forward, state: 'waiting', lost: 2, error: 'ECONNREFUSED' },
        lag: { entries: null, seconds: null },
      },
    },
    'relp://log: waiting, 2 entries lost, ECONNREFUSED',
  ],
  [
    { forward: { ...forward, sources: [source] } },
    'relp://log: connected, 0 entries not acknowledged, and /var/log/a.log',
  ],
  [
    { forward: { ...forward, sources: threeSources } },
    'relp://log: connected, 0 entries not acknowledged, and 3 log files, 1 of them unreadable, 2.0 KiB of log files lost',
  ],
  [
    { forward: { ...forward, lostFiles: 3 } },
    'relp://log: connected, 0 entries not acknowledged, 3 log files lost',
  ],
  [{ checks: [unforwarded] }, 'not forwarded'],
] satisfies [Partial<Report>, string][]) {
  lines(`logs: ${expected}`, () => {
    const shown = formatText({ ...sample, ...report }, plain).split('\n');
    assert.ok(shown.includes(`  logs    ${expected}`), shown.join('\n'));
  });
}

const states = suite('text: each verdict names what to do');
const off = goodGuest();
off.files['etc/immutafs/immutafs.conf'] = 'MODE=off\n';
off.files['run/immutafs/boot.env'] = bootEnv({ MODE: 'off', REASON: 'MODE=off', VAR: 'disk' });
const broken = maintenanceGuest();
edit('tmp', 'noexec,', '')(broken);
for (const [title, report, head, steps] of [
  ['sealed', await reportOf(), /^ {2}SEALED: the host enforces read-only$/m, []],
  [
    'maintenance',
    await evaluateFixture(maintenanceGuest()),
    /^ {2}MAINTENANCE: the host left the system disk writable$/m,
    [/To do: +List .* immutafs-agent check --ready-to-seal$/m, /To seal: .*target=vda --disk readonly=on/],
  ],
  [
    'a failure in maintenance',
    await evaluateFixture(broken),
    /^ {2}FAILED: tmp-options; the host left the system disk writable$/m,
    [
      /To do: .*: tmp-options\. .*--ready-to-seal$/m,
      /To seal: .*readonly=on/,
      /to fix: .*remount,noexec \/tmp/,
    ],
  ],
  [
    'off',
    await evaluateFixture(off),
    /^ {2}OFF: /m,
    [/To seal: .*immutafs=off.*MODE=off.*immutafs-agent check --ready-to-seal/],
  ],
] as const) {
  states(title, () => {
    const text = formatText(report, plain);
    assert.match(text, head);
    for (const step of steps) assert.match(text, step);
    if (steps.length === 0) assert.not.match(text, /to fix:|To do:|To seal:/);
  });
}
const text = suite('text');
text('errors and warnings of the boot are shown', () => {
  const boot = {
    stage: 'initramfs' as const,
    version: '1.2.3',
    at: sample.at,
    ageSeconds: 60,
    says: [],
    warnings: ['/boot: mounted with\x1bnorecovery'],
    errors: ['mount failed: refused'],
  };
  const shown = formatText({ ...sample, boot }, plain).split('\n');
  assert.ok(shown.includes('  boot error: mount failed: refused'));
  assert.ok(shown.includes('  boot warning: /boot: mounted with?norecovery'));
  const quiet = formatText({ ...sample, boot: { ...boot, warnings: [], errors: [] } }, plain);
  assert.not.match(quiet, /boot (error|warning):/);
});

for (const view of [plain, full, terminal]) {
  text(`colours are all that --color changes: ${JSON.stringify(view)}`, () => {
    const colored = formatText(sample, { ...view, color: true });
    // oxlint-disable-next-line no-control-regex -- colours
    const codes = /\x1b\[[0-9;]*m/g;
    assert.ok((colored.match(codes)?.length ?? 0) > 10);
    assert.is(colored.replace(codes, ''), formatText(sample, view));
    assert.is(formatText(sample, view).includes('\x1b'), false);
  });
}

// uvu starts as soon as the event loop is idle, so no suite may be registered after an `await`.
layout.run();
explained.run();
login.run();
sentence.run();
golden.run();
lines.run();
states.run();
text.run();
