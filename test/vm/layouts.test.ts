import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { assertSealed, enforcing, layout, look, withAgent } from './harness/scenario.ts';
import type { Layout } from './harness/scenario.ts';

/**
 * Every usual layout, sealed. Not all of the product of the five columns, but every two values of two columns meet
 * in a row; the first scenario checks that.
 */
const rows = [
  ['xfs', 'lvm', 'in root', 'virtio-blk', 'without SELinux'],
  ['ext4', 'partition', 'in root', 'virtio-scsi', 'enforcing'],
  ['xfs', 'partition', 'separate', 'virtio-scsi', 'without SELinux'],
  ['ext4', 'lvm', 'separate', 'virtio-blk', 'enforcing'],
  ['xfs', 'lvm', 'nested', 'virtio-scsi', 'enforcing'],
  ['ext4', 'partition', 'nested', 'virtio-blk', 'without SELinux'],
] as const;

const layouts = suite('every layout, sealed');

layouts('every pair of values is in a row', () => {
  const columns = [0, 1, 2, 3, 4] as const;
  const values = columns.map((column) => [...new Set(rows.map((row) => row[column]))]);
  const missing = columns.flatMap((a) =>
    columns
      .filter((b) => b > a)
      .flatMap((b) => (values[a] ?? []).flatMap((x) => (values[b] ?? []).map((y) => ({ a, b, x, y }))))
      .filter(({ a: i, b: j, x, y }) => !rows.some((row) => row[i] === x && row[j] === y)),
  );
  assert.equal(missing, []);
});

for (const row of rows) {
  const [filesystem, stack, place, bus, selinux] = row;
  layouts(row.join(', '), () =>
    withAgent({ layout: layoutOf(filesystem, stack, place) }, async (guest) => {
      const steps = {
        ...look,
        write:
          'for d in /var/lib /var/log /var/tmp; do echo x >$d/mark && cat $d/mark; done; chown 1 /var/lib/dpkg/status',
        disk: 'test -s /var/lib/dpkg/status && test -d /var/log/private',
        overlays: 'awk \'$9 == "overlay" || $10 == "overlay" { print $5 }\' /proc/self/mountinfo',
        running: 'systemctl is-active rsyslog auditd systemd-journald',
      };
      const words = ['systemd.show_status=1', ...(selinux === 'enforcing' ? enforcing : [])];
      const boot = await guest.boot({ disk: 'readonly', bus, steps, arguments: words });
      const report = assertSealed(boot);
      assert.is(report.var.assembledBy, place === 'in root' ? 'initramfs' : 'late');
      assert.is(report.disks.find(({ holds }) => holds.includes('/'))?.bus, bus);
      assert.equal(boot.step('write'), { exit: 0, stdout: 'x\nx\nx\n', stderr: '' });
      assert.is(boot.step('disk').exit, 0);
      assert.is(boot.step('overlays').stdout, place === 'nested' ? '/var\n/var/log\n' : '/var\n');
      assert.is(boot.step('running').stdout, 'active\nactive\nactive\n');
      assert.not.match(boot.console, /Failed (to )?unmount/);
      assert.match(boot.console, /reboot: Power down/);
    }),
  );
}

function layoutOf(filesystem: 'xfs' | 'ext4', stack: Layout['stack'], place: string): Layout {
  const volume = (target: string, sizeMiB: number) => ({ target, filesystem, sizeMiB });
  return layout({
    stack,
    system: [
      { ...volume('/', 1400), options: 'ro' },
      ...(place === 'in root' ? [] : [{ ...volume('/var', 512), options: 'ro' }]),
      ...(place === 'nested' ? [{ ...volume('/var/log', 320), options: 'ro' }] : []),
    ],
  });
}

layouts.run();
