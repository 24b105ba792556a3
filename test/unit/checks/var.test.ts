import {
  type Change,
  all,
  config,
  edit,
  handoff,
  mount,
  usage,
  without,
  file,
  scratchOverlay,
} from '../../harness/changes.ts';
import { testChanges } from '../../harness/finding.ts';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { formatUsageHistory } from '../../../agent/facts/records.ts';
import { formatPrometheus } from '../../../agent/report/prometheus.ts';
import type { Report } from '../../../agent/report/report.ts';
import { formatText } from '../../../agent/report/text.ts';
import { type Guest, goodGuest, evaluateFixture } from '../../harness/guest.ts';

/** A file system below /var on the sealed disk, over which late boot mounted an overlay. */
const logOverlay: Change = all(
  mount('lowerlog', '252:2 / /run/immutafs/below/var+log ro,nosuid,nodev,noexec - xfs /dev/vda2 ro'),
  mount(
    'varlog',
    '0:50 / /var/log rw,noexec,nosuid,nodev - overlay immutafs rw,lowerdir=/run/immutafs/below/var+log,upperdir=/run/var/below/var+log/upper,workdir=/run/var/below/var+log/work',
  ),
  handoff({ LAYER: '/var/log overlay' }),
);

testChanges('var-overlay', {
  '/var is not a mount point': [
    without('var'),
    { 'var-overlay': 'fail: part of / (xfs)', 'var-usage': 'skip' },
  ],
  '/var is a tmpfs': [
    mount('var', '0:43 / /var rw,nosuid,nodev - tmpfs tmpfs rw,size=1024k'),
    { 'var-overlay': 'fail: /var is tmpfs, not overlay', 'var-usage': 'skip' },
  ],
  '/var has another lower layer': [
    edit('var', 'lowerdir=/run/immutafs/lower', 'lowerdir=/tmp/lower'),
    'fail: no lowerdir=/run/immutafs/lower',
  ],
  '/var has another upper layer': [
    edit('var', 'upperdir=/run/var/upper', 'upperdir=/home/upper'),
    { 'var-overlay': 'fail: no upperdir=/run/var/upper', footholds: 'warn' },
  ],
  '/var has another work directory': [
    edit('var', 'workdir=/run/var/work', 'workdir=/x'),
    'fail: no workdir=/run/var/work',
  ],
  'statfs(2) of /var reports another type': [usage({ type: 0x01021994 }), 'fail: statfs(2)'],
  '/var lacks an option': [edit('var', 'nosuid,', ''), 'fail: /var lacks nosuid'],
  '/var lacks an option of VAR_OPTIONS': [
    config('VAR_OPTIONS=nosuid,nodev,noexec\n'),
    'fail: /var lacks noexec',
  ],
  '/var is read-only': [edit('var', '/var rw,', '/var ro,'), 'fail: /var is read-only'],
  'the lower layer is writable': [
    edit('lower', 'lower ro,', 'lower rw,'),
    'fail: lower is not mounted read-only',
  ],
  'the lower layer is not mounted': [without('lower'), 'fail: lower is not mounted read-only'],
  'another mount covers /var': [
    mount('over', '0:44 / /var rw,nosuid,nodev - tmpfs tmpfs rw'),
    { 'var-overlay': 'fail: /var is tmpfs', 'var-usage': 'skip', 'stacked-mounts': 'fail' },
  ],
  'the boot could not assemble it': [
    all(without('var'), handoff({ VAR: 'failed', ERROR: 'mount failed: no' })),
    { 'var-overlay': 'fail: mount failed: no', 'var-usage': 'skip' },
  ],
  'a tmpfs that is called overlay': [
    edit('var', /- overlay immutafs rw,.*/, '- tmpfs overlay rw,lowerdir=/run/immutafs/lower'),
    { 'var-overlay': 'fail: /var is tmpfs, not overlay', 'var-usage': 'skip' },
  ],
  'a layer below /var': [logOverlay, {}],
  'an overlay below /var is gone': [logOverlay, without('varlog'), 'fail: /var/log is no longer an overlay'],
  'an overlay below /var has another upper layer': [
    all(logOverlay, edit('varlog', 'upperdir=/run/var/below/var+log/upper', 'upperdir=/run/var/upper')),
    'fail: the overlay on /var/log has no upperdir=/run/var/below/var+log/upper',
  ],
  'the lower layer below /var is writable': [
    all(logOverlay, edit('lowerlog', 'log ro,', 'log rw,')),
    'fail: /run/immutafs/below/var+log is not mounted read-only',
  ],
  'the lower layer below /var is on another, writable disk': [
    all(logOverlay, edit('lowerlog', '252:2 ', '252:16 ')),
    {
      'var-overlay': 'fail: /run/immutafs/below/var+log is on vdb, which is writable',
      'persistent-mounts': 'fail',
    },
  ],
  'late boot could not assemble an overlay': [
    handoff({ LAYER: '/var/log failed' }),
    'fail: /var/log could not be assembled',
  ],
  'a file system below /var on its own disk': [handoff({ LAYER: '/var/log disk' }), {}],
  'a read-only file system below /var': [
    mount('spool', '252:2 / /var/spool ro,nodev - xfs /dev/vda2 ro'),
    { 'var-overlay': 'fail: /var/spool is read-only and not an overlay', 'stacked-mounts': 'fail' },
  ],
  'the lower layer is a tmpfs': [
    edit('lower', '253:0 /var', '0:70 /'),
    { 'var-overlay': 'fail: /run/immutafs/lower is not on a disk', 'persistent-mounts': 'fail' },
  ],
});

testChanges('var-upper-tmpfs', {
  'the upper layer is on a disk': [
    edit('upper', '- tmpfs immutafs', '- xfs /dev/vdb'),
    { 'var-upper-tmpfs': 'fail: xfs', 'persistent-mounts': 'fail', footholds: 'warn' },
  ],
  'the upper layer has no size': [edit('upper', 'size=262144k,', ''), 'fail: no limit for bytes'],
  'the upper layer has no number of inodes': [
    edit('upper', 'nr_inodes=204800,', ''),
    'fail: no limit for inodes',
  ],
});

const mebibyte = 1024 * 1024;

/** The guest has run for 700 s, and the usage of /var grew by `perSecond` bytes until its present 12 MiB. */
const growing = (perSecond: number) => (guest: Guest) => {
  guest.answers.uptime = 700;
  const samples = [100, 220, 340, 460, 580].map((uptime) => ({
    uptime,
    usedBytes: Math.max(0, 12 * mebibyte - (700 - uptime) * perSecond),
    inodesUsed: 1000,
  }));
  guest.files['run/immutafs/usage.json'] = formatUsageHistory(
    '6ad9c6b3-2c5b-4b0e-9b1f-6d6f0c1f3a52',
    samples,
  );
};

testChanges('var-usage', {
  'it fails at USAGE_FAIL, also if that is below USAGE_WARN, which is an error': [
    all(usage({ usedBytes: 0.75 * 256 * mebibyte }), config('USAGE_FAIL=70%\n')),
    { 'var-usage': 'fail: 75% of 256 MiB', 'config-valid': 'fail: line 1: USAGE_WARN: 80% is above' },
  ],
  'it fails at USAGE_FAIL': [
    all(usage({ usedBytes: 0.75 * 256 * mebibyte }), config('USAGE_WARN=70%\nUSAGE_FAIL=70%\n')),
    'fail: 75% of 256 MiB',
  ],
  '/var is at the warning': [usage({ usedBytes: 0.8 * 256 * mebibyte }), 'warn: 80% of 256 MiB'],
  '/var is just below the warning': [usage({ usedBytes: 0.79 * 256 * mebibyte }), {}],
  '/var is full of inodes': [usage({ inodesUsed: 194560 }), 'fail: 95% of 204800 inodes'],
  '/var is over a configured limit': [config('USAGE_WARN=3%\n'), 'warn'],
  '/var grows, which alone is no reason to warn': [growing(10_000), {}],
});

const reportOf = (change: Change) => {
  const guest = goodGuest();
  change(guest);
  return evaluateFixture(guest);
};
const observedIn = (report: Report) => report.checks.find(({ id }) => id === 'var-usage')?.observed ?? '';

/** The use of /var is at the warning, and its upper layer has a file. */
const full =
  (path: string, more: Change = () => undefined): Change =>
  (guest) => {
    usage({ usedBytes: 0.8 * 256 * mebibyte })(guest);
    file(`run/var/upper/${path}`, 'x'.repeat(8192))(guest);
    more(guest);
  };
const remedies = suite('var-usage: what to do');
for (const [title, change, expected] of [
  ['a cache', full('cache/app/x'), '(SCRATCH=/var/cache/app)'],
  [
    'a container store',
    full('lib/containers/storage/x'),
    '(SCRATCH=/var/lib/containers/storage:empty,exec,suid,dev)',
  ],
  ['other files', full('lib/app/x'), '(SCRATCH)'],
  ['a cache that SCRATCH names', full('cache/app/x', config('SCRATCH=/var/cache/app\n')), '(SCRATCH)'],
] as const) {
  remedies(`${title}: SCRATCH is proposed with the line`, async () => {
    const { checks } = await reportOf(change);
    const remedy = checks.find(({ id }) => id === 'var-usage')?.remedy ?? '';
    assert.ok(remedy.includes(`put its directory on SCRATCH_DEVICE ${expected}, or`), remedy);
  });
}

remedies('what a path of SCRATCH has in memory is among the largest files', async () => {
  assert.match(
    observedIn(await reportOf(full('cache/x', scratchOverlay('/run/var/below/srv+build')))),
    /largest: \/srv\/build\/file 16 KiB/,
  );
});
remedies('the twin: what it has on SCRATCH_DEVICE is not', async () => {
  const observed = observedIn(
    await reportOf(full('cache/x', scratchOverlay('/run/immutafs/scratch-disk/srv=build'))),
  );
  assert.match(observed, /largest: \/var\/cache\/x/);
  assert.not.match(observed, /srv/);
});

const forecasts = suite('var-usage: the forecast');

forecasts('growth is in the finding, the text, JSON and Prometheus', async () => {
  const report = await reportOf(growing(10_000));
  assert.match(observedIn(report), /inodes; full in about 7 h at the present rate/);
  assert.equal(report.var.forecast, {
    secondsUntilFull: 25_585,
    limit: 'bytes',
    bytesPerSecond: 10_000,
    inodesPerSecond: 0,
    overSeconds: 600,
  });
  assert.match(formatPrometheus(report), /\nimmutafs_var_full_seconds 25585\n/);
  const text = formatText(report, { all: false, color: false, columns: 80 });
  assert.match(text.replace(/\s+/g, ' '), /inodes used; full in about 7 h at the present rate/);
  assert.ok(text.split('\n').length <= 24, text);
});

for (const [title, change] of [
  ['flat usage', growing(0)],
  ['shrinking usage', growing(-10_000)],
  ['no sample', () => undefined],
  ['samples of another boot', file('run/immutafs/usage.json', formatUsageHistory('other', []))],
  ['a damaged file', file('run/immutafs/usage.json', '{')],
  ['a file that is a link', file('run/immutafs/usage.json', { linkTo: '/etc/fstab' })],
  [
    'no overlay',
    (guest: Guest) => {
      growing(10_000)(guest);
      delete guest.mounts['var'];
    },
  ],
] as const) {
  forecasts(`${title}: no forecast`, async () => {
    const report = await reportOf(change);
    assert.is(report.var.forecast, null);
    assert.not.match(observedIn(report), /full in/);
    assert.not.match(formatPrometheus(report), /var_full_seconds/);
  });
}
remedies.run();
forecasts.run();
