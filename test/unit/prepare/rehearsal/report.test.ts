import * as assert from 'uvu/assert';
import { suite } from 'uvu';
import { type Seen, type State, buildReport } from '../../../../agent/prepare/rehearsal/report.ts';
import type { Baseline, RehearsalReport } from '../../../../agent/prepare/rehearsal/record.ts';

const nothing: Seen = {
  units: { failed: new Map(), skipped: new Set() },
  refusals: [],
  denials: [],
  growth: null,
  failing: [],
};
const settled: State = {
  ...{ bootId: 'b', began: '2026-03-04T05:00:00.000Z', savedAt: '2026-03-04T05:30:00.000Z' },
  ...{ uptimeSeconds: 1800.4, endedBy: 'limit', settledSeconds: 41.2, omitted: 0 },
  sources: { journal: '', audit: 'recorded' },
};
const empty: Baseline = { failed: [], skipped: [], refused: [] };

interface Different extends Partial<Record<'OVERLAY' | 'PERSIST' | 'SCRATCH', string>> {
  baseline?: Baseline;
  state?: Partial<State>;
}

function reportOf(
  seen: Partial<Seen>,
  { baseline = empty, state, ...config }: Different = {},
): RehearsalReport {
  return buildReport(
    { id: 'r', limitSeconds: 1800, baseline },
    { ...settled, ...state },
    { ...nothing, ...seen },
    {
      config: { OVERLAY: '', PERSIST: '', SCRATCH: '', ...config },
      // The last part of a path is a file.
      folderOf: (file) => (file === '/var/lib/db' ? file : file.slice(0, file.lastIndexOf('/')) || '/'),
      lastMessages: (unit) => (unit === 'a.service' ? ['it broke'] : []),
    },
  );
}
const kinds = ({ observations }: RehearsalReport) =>
  observations.map(({ kind, subject, blocking }) => `${kind} ${subject}${blocking ? '' : ' (note)'}`);
const refusal = (unit: string, path: string | null) => ({
  unit,
  path,
  message: `${path}: Read-only file system`,
});
const failed = (...names: string[]) => ({
  failed: new Map(names.map((name) => [name, 'exit-code'])),
  skipped: new Set<string>(),
});

const report = suite('the report of a rehearsal');
report('nothing was found: ready', () => {
  const { ready, why, observations, add, endedBy, settledSeconds, uptimeSeconds } = reportOf({});
  assert.equal(
    { ready, why, observations, add, endedBy, settledSeconds, uptimeSeconds },
    {
      ...{ ready: true, why: [], observations: [], add: { overlay: '', persistInstead: '' } },
      ...{ endedBy: 'limit', settledSeconds: 41, uptimeSeconds: 1800 },
    },
  );
});
report('a unit that failed and its refused write: the remedy of the write', () => {
  const found = reportOf({
    units: failed('a.service', 'b.service'),
    refusals: [
      refusal('a.service', '/opt/a/x'),
      refusal('a.service', '/opt/a/y'),
      refusal('a.service', '/opt/a/x'),
    ],
  });
  assert.equal(kinds(found), ['failed a.service', 'failed b.service', 'refused a.service']);
  const [first, second, third] = found.observations;
  assert.equal([first?.messages, second?.messages], [['it broke'], ['Result: exit-code']]);
  assert.match(first?.remedy ?? '', /Add \/opt\/a to OVERLAY/);
  assert.equal([third?.count, third?.paths, third?.folder], [3, ['/opt/a/x', '/opt/a/y'], '/opt/a']);
  assert.equal([found.ready, found.why], [false, ['3 problems were found.']]);
  assert.is(found.add.overlay, 'OVERLAY=/opt/a');
});
report('what failed, was skipped or was refused in maintenance mode too is left out', () => {
  const baseline = { failed: ['a.service'], skipped: ['s.service'], refused: ['a.service /opt/a', 'c '] };
  const found = reportOf(
    {
      units: { ...failed('a.service'), skipped: new Set(['s.service', 'a.service', 'new.service']) },
      refusals: [refusal('a.service', '/opt/a/other'), refusal('c', null)],
    },
    { baseline },
  );
  assert.equal(kinds(found), ['skipped new.service (note)']);
  assert.is(found.ready, true);
});
report('the proposed lines contain the present ones, without folders below another', () => {
  const refusals = ['/opt/a/x', '/opt/a/b/y', '/root/z', '/srv/w'].map((file) => refusal('a.service', file));
  const { add } = reportOf({ refusals }, { OVERLAY: '/data:noexec', PERSIST: '/root:exec /var/lib/x' });
  assert.equal(add, {
    overlay: 'OVERLAY=/data:noexec /opt/a /root /srv',
    persistInstead: 'PERSIST=/root:exec /var/lib/x /opt/a:autostart /srv:autostart',
  });
});
report('no overlay is proposed where a known service keeps its state', () => {
  const refusals = ['/u01/oradata/x', '/opt/a/x'].map((file) => refusal('a.service', file));
  assert.equal(reportOf({ refusals }).add, {
    overlay: 'OVERLAY=/opt/a',
    persistInstead: 'PERSIST=/opt/a:autostart /u01/oradata:autostart',
  });
});
report('a harmless write is a note, and no line of OVERLAY is proposed for it', () => {
  const found = reportOf({ refusals: [refusal('a.service', '/opt/a/__pycache__/x.pyc')] });
  assert.equal(kinds(found), ['refused a.service (note)']);
  assert.equal([found.ready, found.add.overlay], [true, '']);
});
report('the kernel refused a write: a note, unless a program has reported it', () => {
  const denials = [
    { program: '/bin/a', path: '/opt/a/x' },
    { program: '/bin/b', path: '/opt/b/x' },
    { program: '/bin/b', path: '/opt/b/y' },
    { program: '/bin/c', path: '/usr/lib/__pycache__/m.pyc' },
  ];
  const found = reportOf({ denials, refusals: [refusal('a.service', '/opt/a/x')] });
  assert.equal(kinds(found), ['refused a.service', 'denied /bin/b (note)']);
  assert.is(found.observations[1]?.count, 2);
  assert.is(found.add.overlay, 'OVERLAY=/opt/a', 'a note proposes no line');
});
const growthOf = (path: string, seconds: number) => ({
  ...{ seconds: 600, usedBytes: 1, sizeBytes: 2, bytes: 1e6, inodes: 0 },
  ...{ largest: [{ path, bytes: 1e6, inodes: 0 }], forecast: { full: 'in', seconds } as const },
});
report('the fields of the report and of each kind of observation are in their order', () => {
  const found = reportOf({
    units: { ...failed('a.service'), skipped: new Set(['s.service']) },
    refusals: [refusal('a.service', '/opt/a/x')],
    denials: [{ program: 'p', path: '/etc/p/x' }],
    growth: growthOf('/var/big', 60),
    failing: [{ id: 'c', observed: 'o', remedy: '' }],
  });
  assert.is(
    Object.keys(found).join(' '),
    'schema id limitSeconds bootId began savedAt uptimeSeconds endedBy settledSeconds ready why observations omitted growth add sources',
  );
  const one = 'kind blocking subject count folder paths messages remedy';
  const other = 'kind blocking subject paths count folder messages remedy';
  assert.equal(
    found.observations.map((each) => [each.kind, Object.keys(each).join(' ')]),
    [
      ...[
        ['failed', one],
        ['refused', one],
        ['check', other],
        ['full', one],
        ['denied', one],
        ['skipped', other],
      ],
    ],
  );
});
report('the layers are full soon, or later', () => {
  const found = reportOf({ growth: growthOf('/var/lib/db', 3600) });
  assert.equal([kinds(found), found.ready], [['full '], false]);
  assert.match(found.observations[0]?.remedy ?? '', /PERSIST=\/var\/lib\/db\)/);
  const later = reportOf({ growth: growthOf('/var/lib/db', 25 * 3600) });
  assert.equal([kinds(later), later.ready], [[], true]);
});
const stores = '/var/lib/containers/storage:empty,exec,suid,dev';
for (const [path, SCRATCH, expected] of [
  ['/var/lib/db', '', ' in SCRATCH if'],
  ['/var/cache/app/x', '', '(SCRATCH=/var/cache/app), or'],
  ['/var/lib/containers', '/srv/build', `(SCRATCH=/srv/build ${stores}), or`],
  ['/var/cache/app/x', '/var/cache', ' in SCRATCH if'],
  ['/var/cache/app/x', '/var/cache/app/y', ' in SCRATCH if'],
] as const) {
  report(`the layers will be full, mostly of ${path}, with SCRATCH=${SCRATCH}`, () => {
    const [full] = reportOf({ growth: growthOf(path, 3600) }, { SCRATCH }).observations;
    assert.ok(full?.remedy.includes(expected), full?.remedy);
  });
}
report('a refused write on a path of SCRATCH: its state is the cause, and no line is proposed', () => {
  const refusals = [refusal('a.service', '/srv/build/x')];
  const found = reportOf({ refusals }, { SCRATCH: '/srv/build:required' });
  assert.match(found.observations[0]?.remedy ?? '', /^\/srv\/build should be writable in a sealed boot/);
  assert.equal(found.add, { overlay: '', persistInstead: '' });
  assert.is(reportOf({ refusals }).add.overlay, 'OVERLAY=/srv/build', 'the twin');
});
report('a required check that does not pass', () => {
  const found = reportOf({
    failing: [{ id: 'root-readonly', observed: 'mounted read-write', remedy: 'Do it.' }],
  });
  assert.equal(kinds(found), ['check root-readonly']);
  assert.equal(found.why, ['1 problem was found.']);
});
report('not ready: the boot was not complete, or the journal could not be read', () => {
  const sources = { journal: 'no journalctl', audit: '' };
  for (const [state, why] of [
    [{ settledSeconds: null }, 'The boot was not complete.'],
    [{ sources }, 'The journal could not be read: no journalctl.'],
  ] as const) {
    const found = reportOf({}, { state });
    assert.equal([found.ready, found.why], [false, [why]]);
  }
});
report('the number of observations is limited', () => {
  const refusals = Array.from({ length: 250 }, (_, index) => refusal('a.service', `/opt/${index}/x`));
  const found = reportOf({ refusals }, { state: { omitted: 7 } });
  assert.equal([found.observations.length, found.omitted], [200, 57]);
});
report.run();
