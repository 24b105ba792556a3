import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { assertSealed, editFile, enforcing, layout, look, withAgent } from '../harness/scenario.ts';
import type { Layout } from '../harness/scenario.ts';
import { layoutRows } from './layout-rows.ts';

const layouts = suite('every layout, sealed');

layouts('every pair of values of two columns is in a row', () => {
  const columns = [0, 1, 2, 3, 4] as const;
  const values = columns.map((column) => [...new Set(layoutRows.map((row) => row[column]))]);
  const missing = columns.flatMap((a) =>
    columns
      .filter((b) => b > a)
      .flatMap((b) => (values[a] ?? []).flatMap((x) => (values[b] ?? []).map((y) => ({ a, b, x, y }))))
      .filter(({ a: i, b: j, x, y }) => !layoutRows.some((row) => row[i] === x && row[j] === y)),
  );
  assert.equal(missing, []);
});

for (const row of layoutRows) {
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

layouts('/var by a quoted label; /var/log by a label with a space and as an automount', () =>
  withAgent(
    {
      layout: layoutOf('ext4', 'partition', 'nested'),
      damage: { '/var': 'e2label "$1" varfs', '/var/log': 'e2label "$1" "my logs"' },
      edit: (root) =>
        editFile(`${root}/etc/fstab`, (text) =>
          text
            .replace(/^UUID=\S+ \/var ext4 ro/m, 'LABEL="varfs" /var ext4 ro')
            .replace(
              /^UUID=\S+ \/var\/log ext4 ro/m,
              'LABEL=my\\040logs /var/log ext4 noauto,x-systemd.automount,ro',
            ),
        ),
    },
    async (guest) => {
      const steps = {
        ...look,
        fstab: 'cat /etc/fstab',
        write: 'for d in /var/lib /var/log; do echo x >$d/mark && cat $d/mark; done',
        mounts: 'awk \'$5 ~ "^/var" { sub(/.* - /, $5 " "); print $1, $2 }\' /proc/self/mountinfo',
        automount: 'systemctl show --value -p LoadState,ActiveState var-log.automount',
        waited: 'systemctl show --value -p ActiveEnterTimestampMonotonic local-fs.target',
        jobs: 'systemctl list-jobs --no-legend',
      };
      const boot = await guest.boot({ disk: 'readonly', steps, arguments: ['systemd.show_status=1'] });
      assert.match(boot.step('fstab').stdout, /^LABEL="varfs" \/var (.*\n)*LABEL=my\\040logs \/var\/log /m);
      assertSealed(boot);
      assert.equal(boot.step('write'), { exit: 0, stdout: 'x\nx\n', stderr: '' });
      assert.is(boot.step('mounts').stdout, '/var overlay\n/var/log overlay\n');
      assert.is(boot.step('automount').stdout, 'loaded\ninactive\n');
      // systemd's timeout for a device is 90 s, and starts some seconds after the kernel.
      assert.ok(Number(boot.step('waited').stdout) < 90e6, boot.step('waited').stdout);
      assert.not.match(boot.console, /Failed (to )?unmount|FAILED/);
    },
  ),
);

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
