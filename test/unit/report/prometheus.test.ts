import { spawnSync } from 'node:child_process';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { formatPrometheus } from '../../../agent/report/prometheus.ts';
import { goodGuest, maintenanceGuest, evaluateFixture } from '../../harness/guest.ts';
import { finding, forward, sample } from '../../harness/sample-report.ts';

const metrics = suite('Prometheus metrics');

for (const [title, guest] of Object.entries({ sealed: goodGuest(), maintenance: maintenanceGuest() })) {
  metrics(`promtool reports nothing: ${title}`, async () => {
    const input = formatPrometheus(await evaluateFixture(guest));
    const promtool = spawnSync('promtool', ['check', 'metrics'], { input, encoding: 'utf8' });
    assert.equal([promtool.error, promtool.status], [undefined, 0]);
    assert.is(promtool.stdout + promtool.stderr, '');
  });
}

metrics('promtool reports an invalid metric', () => {
  const input = 'immutafs_x_total 1\n';
  assert.is.not(spawnSync('promtool', ['check', 'metrics'], { input }).status, 0);
});

metrics('exactly one state of each set is 1', () => {
  const text = formatPrometheus({ ...sample, checks: [finding('warn', 'advisory', 'a')] });
  const lines = text.split('\n').filter((line) => line.endsWith(' 1'));
  for (const expected of [
    'immutafs_verdict{verdict="failed"} 1',
    'immutafs_mode{mode="sealed"} 1',
    'immutafs_enforcement{enforcement="partial"} 1',
    'immutafs_check_status{check="a",severity="advisory",status="warn"} 1',
    'immutafs_disk_host_read_only{disk="vda",bus="virtio-blk"} 1',
  ]) {
    assert.ok(lines.includes(expected), expected);
  }
  assert.is(lines.filter((line) => /^immutafs_(verdict|mode|enforcement|check_status)/.test(line)).length, 4);
  assert.match(text, 'immutafs_disk_host_read_only{disk="vdb",bus="virtio-blk"} 0\n');
  assert.match(text, 'immutafs_var_used_bytes 12582912\n');
  assert.match(text, 'immutafs_var_inodes 204800\n');
  assert.match(text, 'immutafs_report_timestamp_seconds 1772600767.089\n');
  assert.match(text, 'immutafs_agent_info{version="1.2.3",boot_id="x",kernel="3.10.0"} 1\n');
});

metrics('check_status has one sample for each check', async () => {
  const report = await evaluateFixture(goodGuest());
  const lines = formatPrometheus(report)
    .split('\n')
    .filter((line) => line.startsWith('immutafs_check_status{'));
  assert.is(lines.length, report.checks.length);
  for (const { id, severity, status } of report.checks) {
    const line = `immutafs_check_status{check="${id}",severity="${severity}",status="${status}"} 1`;
    assert.ok(lines.includes(line), line);
  }
});

metrics('every value that accumulates is a counter, and the names of counters end in _total', () => {
  const text = formatPrometheus({ ...sample, forward });
  const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type]) => ({ name, type }));
  for (const { name, type } of types) assert.is(type === 'counter', name.endsWith('_total'), name);
  for (const expected of [
    'immutafs_forward_entries_total{outcome="acknowledged"} 9\n',
    'immutafs_forward_entries_total{outcome="lost"} 3\n',
    'immutafs_forward_lost_entries_total 3\n',
    'immutafs_forward_lost_files_total 2\n',
    'immutafs_forward_file_lost_bytes_total{file="/var/log/audit/audit.log"} 5\n',
    // The name of earlier versions.
    'immutafs_forward_entries{outcome="lost"} 3\n',
  ]) {
    assert.match(text, expected);
  }
  const ran = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
  assert.equal([ran.status, ran.stdout, ran.stderr], [0, '', '']);
});

for (const [version, expected] of [
  ['1.2.3', '1002003'],
  ['0.10.0-rc.1', '10000'],
  ['1.2', undefined],
  ['1.2.3000', undefined],
  ['next', undefined],
] as const) {
  metrics(`the number of the version ${version}`, () => {
    const text = formatPrometheus({ ...sample, agent: { version } });
    const [, value] = /^immutafs_agent_version_number (\d+)$/m.exec(text) ?? [];
    assert.is(value, expected);
  });
}

metrics('the end of a rehearsal; none in an ordinary boot', () => {
  const rehearsal = { limitSeconds: 1800, endsAt: '2026-03-04T05:36:07.089Z' };
  const text = formatPrometheus({ ...sample, rehearsal });
  assert.match(text, '\nimmutafs_rehearsal_end_timestamp_seconds 1772602567.089\n');
  assert.not.match(formatPrometheus(sample), 'rehearsal_end');
});

metrics('impostors are counted as devices, not as identities', () => {
  const impostor = (device: string, identity: string) => ({ device, sealedDevice: '/dev/vda1', identity });
  const impostors = [
    impostor('/dev/vdb1', 'UUID=1'),
    impostor('/dev/vdb1', 'PARTUUID=2'),
    impostor('/dev/vdc1', 'UUID=1'),
  ];
  assert.match(formatPrometheus({ ...sample, impostors }), '\nimmutafs_impostors 2\n');
  assert.match(formatPrometheus(sample), '\nimmutafs_impostors 0\n');
});

metrics('a missing value has no sample', () => {
  const text = formatPrometheus({ ...sample, var: { ...sample.var, usedBytes: null }, boot: null });
  assert.not.match(text, 'immutafs_var_used_bytes');
  assert.not.match(text, 'immutafs_boot_evidence');
});

metrics('the state of each path of OVERLAY; no family without a path', () => {
  const none = { options: [], reason: '', lower: null, upper: null };
  const overlays = [
    { ...none, target: '/opt', state: 'overlay' as const },
    { ...none, target: '/usr', state: 'refused' as const },
  ];
  const text = formatPrometheus({ ...sample, overlays });
  assert.match(text, 'immutafs_overlay_state{target="/opt",overlay_state="overlay"} 1\n');
  assert.match(text, 'immutafs_overlay_state{target="/opt",overlay_state="refused"} 0\n');
  assert.match(text, 'immutafs_overlay_state{target="/usr",overlay_state="refused"} 1\n');
  assert.not.match(formatPrometheus(sample), 'overlay_state');
});
metrics('the state of each path of SCRATCH; no family without a path', () => {
  const path = { path: '/var/cache', options: [], reason: '', state: 'memory' as const };
  const text = formatPrometheus({ ...sample, scratch: [path] });
  assert.match(text, 'immutafs_scratch_state{path="/var/cache",scratch_state="memory"} 1\n');
  assert.match(text, 'immutafs_scratch_state{path="/var/cache",scratch_state="disk"} 0\n');
  assert.not.match(formatPrometheus(sample), 'scratch_state');
});

metrics('labels are escaped', () => {
  const host = { ...sample.host, kernel: 'a"b\\c\nd' };
  assert.match(formatPrometheus({ ...sample, host }), 'kernel="a\\"b\\\\\\\\c\\\\nd"} 1\n');
});

metrics('the names of log files that differ in an unprintable character have different labels', () => {
  const names = ['a\x01', 'a\x02', 'a?', 'a\\u0001', 'a\n', 'a\\n', 'a\u202e'];
  const sources = names.map((path) => ({
    ...{ path, acknowledgedBytes: 1, behindBytes: 0, lostBytes: 0, error: '' },
  }));
  const text = formatPrometheus({ ...sample, forward: { ...forward, sources } });
  const labels = [...text.matchAll(/^immutafs_forward_file_lost_bytes\w*(\{.*\}) /gm)].map(
    ([, label]) => label,
  );
  assert.is(labels.length, names.length);
  assert.is(new Set(labels).size, names.length);
});

metrics.run();
