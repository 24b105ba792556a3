import { spawnSync } from 'node:child_process';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { formatPrometheus } from '../../../agent/report/prometheus.ts';
import { evaluateGuest, goodGuest, maintenanceGuest, withGuest } from '../../harness/guest.ts';
import { finding, sample } from '../../harness/sample-report.ts';

const metrics = suite('Prometheus metrics');

for (const [title, guest] of Object.entries({ sealed: goodGuest(), maintenance: maintenanceGuest() })) {
  metrics(`promtool reports nothing: ${title}`, async () => {
    const input = formatPrometheus(await withGuest(guest, evaluateGuest));
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

metrics('labels are escaped', () => {
  const host = { ...sample.host, kernel: 'a"b\\c\nd' };
  assert.match(formatPrometheus({ ...sample, host }), 'kernel="a\\"b\\\\c\\nd"} 1\n');
});

metrics.run();
