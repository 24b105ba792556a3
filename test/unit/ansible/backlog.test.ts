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

const journal = (entries: number | null, seconds: number | null) => ({
  ...connected,
  lag: { entries, seconds },
});
const file = (behindBytes: number, error = '') => ({
  ...connected,
  sources: [{ path: '/a', behindBytes, error }],
});
const three = '3 journal entries are not acknowledged';
const unknown = 'the number of unacknowledged journal entries is unknown';
const reasonsFor = (forward: unknown, now = at) =>
  callPlugin('filter.backlog', 'backlog', { at: now, forward }, since);

for (const [title, forward, ...reasons] of [
  ['everything is acknowledged', connected],
  ['only newer entries are not', journal(3, 59)],
  ['an older entry is not', journal(3, 61), three],
  ['the age is unknown', journal(3, null), three],
  ['the age is larger than any time', journal(3, 1e300), three],
  ['the age is negative, which would make the entry younger', journal(3, -1), three],
  ['the number is unknown', journal(null, null), unknown],
  ['a log file is not', file(5), '5 bytes of /a are not acknowledged'],
  ['a log file cannot be read', file(0, 'EACCES'), '/a: EACCES'],
  [
    'no connection',
    { ...connected, state: 'waiting', error: 'refused' },
    'the forwarder is waiting, not connected, to relp://log:2514: refused',
  ],
  [
    'the numbers are none that a forwarder reports',
    { ...journal(-1, 0), sources: file(-5).sources },
    ...[unknown, 'the number of unacknowledged bytes of /a is unknown'],
  ],
  [
    'no forwarder',
    null,
    'the guest forwards no logs (FORWARD is empty, or the forwarder has not run in this boot)',
  ],
] as const) {
  backlog(title, () => assert.equal(reasonsFor(forward), reasons));
}
for (const now of ['yesterday', '2026-03-04T05:07:07', '9999-99-99T99:99:99Z', '']) {
  backlog(`"${now}" is no time, so that no entry counts as younger`, () =>
    assert.equal(reasonsFor(journal(3, 1), now), [three]),
  );
}
backlog.run();

const again = suite('recycle.yml: what is present again');
const change = (path: string, category?: string, layer = '/var') => ({
  path,
  layer,
  ...(category === undefined ? {} : { category }),
});
const [cron, udev] = [change('/var/spool/cron/root', 'cron'), change('/run/udev/rules.d/x', 'udev')];
const bashrc = change('/home/a/.bashrc', 'login', 'home directories');
const keys = change('/root/.ssh/authorized_keys', 'login', '/root');
for (const [title, after, expected, ...result] of [
  ['nothing', [change('/var/log/x')], []],
  ['a file that was not notable before', [change('/var/spool/cron/other', 'cron')], []],
  ['a notable file', [cron], [], cron.path],
  ['a notable file that is expected', [udev], [udev.path]],
  ['a file of a disk that outlives a restart', [bashrc], []],
  ['a file below /root, which has an overlay', [keys], [], keys.path],
  [
    'lines that are no changes',
    [{ path: null, layer: '/var', category: 'cron' }, [], 7, { ...udev, layer: 5 }],
    [],
  ],
] as const) {
  again(title, () => {
    const output = after.map((each) => `${JSON.stringify(each)}\n`).join('');
    const before = [cron, udev, bashrc, keys];
    assert.equal(callPlugin('filter.backlog', 'present_again', output, before, expected), result);
  });
}
again.run();
