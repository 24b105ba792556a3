import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { callPlugin } from '../../harness/collection.ts';

const backlog = suite('recycle.yml: the backlog of the forwarder');

const since = '2026-03-04T05:06:07.500Z';
const at = '2026-03-04T05:07:07.500Z';
const connected = {
  target: 'relp://log:2514',
  state: 'connected',
  error: '',
  lag: { entries: 0, seconds: 0 },
  sources: [{ path: '/var/log/audit/audit.log', behindBytes: 0, error: '' }],
};

for (const [title, forward, expected] of [
  ['everything is acknowledged', connected, []],
  ['only newer entries are not', { ...connected, lag: { entries: 3, seconds: 59 } }, []],
  [
    'an older entry is not',
    { ...connected, lag: { entries: 3, seconds: 61 } },
    ['3 journal entries are not acknowledged'],
  ],
  [
    'the age is unknown',
    { ...connected, lag: { entries: 3, seconds: null } },
    ['3 journal entries are not acknowledged'],
  ],
  [
    'the number is unknown',
    { ...connected, lag: { entries: null, seconds: null } },
    ['the number of unacknowledged journal entries is unknown'],
  ],
  [
    'a log file is not',
    { ...connected, sources: [{ path: '/a', behindBytes: 5, error: '' }] },
    ['5 bytes of /a are not acknowledged'],
  ],
  [
    'a log file cannot be read',
    { ...connected, sources: [{ path: '/a', behindBytes: 0, error: 'EACCES' }] },
    ['/a: EACCES'],
  ],
  [
    'no connection',
    { ...connected, state: 'waiting', error: 'refused' },
    ['the forwarder is waiting, not connected, to relp://log:2514: refused'],
  ],
  [
    'the age is larger than any time',
    { ...connected, lag: { entries: 3, seconds: 1e300 } },
    ['3 journal entries are not acknowledged'],
  ],
  [
    'the age is negative, which would make the entry younger',
    { ...connected, lag: { entries: 3, seconds: -1 } },
    ['3 journal entries are not acknowledged'],
  ],
  [
    'the numbers are none that a forwarder reports',
    {
      ...connected,
      lag: { entries: -1, seconds: 0 },
      sources: [{ path: '/a', behindBytes: -5, error: '' }],
    },
    [
      'the number of unacknowledged journal entries is unknown',
      'the number of unacknowledged bytes of /a is unknown',
    ],
  ],
  [
    'no forwarder',
    null,
    ['the guest forwards no logs (FORWARD is empty, or the forwarder has not run in this boot)'],
  ],
] as const) {
  backlog(title, () =>
    assert.equal(callPlugin('filter.backlog', 'backlog', { at, forward }, since), [...expected]),
  );
}
backlog.run();

const times = suite('recycle.yml: the time of a report');
for (const now of ['yesterday', '2026-03-04T05:07:07', '9999-99-99T99:99:99Z', '']) {
  times(`"${now}" is no time, so that no entry counts as younger`, () => {
    const forward = { ...connected, lag: { entries: 3, seconds: 1 } };
    assert.equal(callPlugin('filter.backlog', 'backlog', { at: now, forward }, since), [
      '3 journal entries are not acknowledged',
    ]);
  });
}
times.run();

const again = suite('recycle.yml: what is present again');
const change = (path: string, category?: string, layer = '/var') => ({
  path,
  layer,
  ...(category === undefined ? {} : { category }),
});
const disk = 'home directories';
const before = [
  change('/var/spool/cron/root', 'cron'),
  change('/run/udev/rules.d/x', 'udev'),
  change('/home/a/.bashrc', 'login', disk),
  change('/root/.ssh/authorized_keys', 'login', '/root'),
];
for (const [title, after, expected, result] of [
  ['nothing', [change('/var/log/x')], [], []],
  ['a file that was not notable before', [change('/var/spool/cron/other', 'cron')], [], []],
  ['a notable file', [change('/var/spool/cron/root', 'cron')], [], ['/var/spool/cron/root']],
  ['a notable file that is expected', [change('/run/udev/rules.d/x', 'udev')], ['/run/udev/rules.d/x'], []],
  ['a file of a disk that outlives a restart', [change('/home/a/.bashrc', 'login', disk)], [], []],
  [
    'a file below /root, which has an overlay',
    [change('/root/.ssh/authorized_keys', 'login', '/root')],
    [],
    ['/root/.ssh/authorized_keys'],
  ],
  [
    'lines that are no changes',
    [
      { path: null, layer: '/var', category: 'cron' },
      [],
      7,
      { ...change('/run/udev/rules.d/x', 'udev'), layer: 5 },
    ],
    [],
    [],
  ],
] as const) {
  again(title, () => {
    const output = after.map((each) => `${JSON.stringify(each)}\n`).join('');
    assert.equal(callPlugin('filter.backlog', 'present_again', output, before, expected), [...result]);
  });
}
again.run();
