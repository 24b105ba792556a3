import * as assert from 'uvu/assert';
import type { LayoutRow } from './layout-rows.ts';
import { type Boot, type Layout, assertSealed, enforcing, layout, look } from './scenario.ts';

/** Returns the layout of a row. In a `nested` row, /var and /var/log are volumes of their own. */
export function layoutOf([filesystem, stack, place, , , release]: LayoutRow): Layout {
  const volume = (target: string, sizeMiB: number) => ({ target, filesystem, sizeMiB });
  return layout({
    release,
    stack,
    system: [
      { ...volume('/', 1400), options: 'ro' },
      ...(place === 'in root' ? [] : [{ ...volume('/var', 512), options: 'ro' }]),
      ...(place === 'nested' ? [{ ...volume('/var/log', 320), options: 'ro' }] : []),
    ],
  });
}

/** Returns the options of a sealed boot of a row, for `assertRow`. */
export function bootOptions([, , , bus, selinux]: LayoutRow) {
  const steps = {
    ...look,
    write:
      'for d in /var/lib /var/log /var/tmp; do echo x >$d/mark && cat $d/mark; done; chown 1 /var/lib/dpkg/status',
    disk: 'test -s /var/lib/dpkg/status && test -d /var/log/private',
    // Without the bind mounts of MOUNT_OPTIONS.
    overlays: 'awk \'$4 == "/" && ($9 == "overlay" || $10 == "overlay") { print $5 }\' /proc/self/mountinfo',
    running: 'systemctl is-active rsyslog auditd systemd-journald',
  };
  const words = ['systemd.show_status=1', ...(selinux === 'enforcing' ? enforcing : [])];
  return { disk: 'readonly' as const, bus, steps, arguments: words, allUnits: true };
}

/** Asserts that the guest is sealed, and that /var and the mounts below it are writable. @returns the report */
export function assertRow(boot: Boot, [, , place, bus]: LayoutRow) {
  const report = assertSealed(boot);
  assert.is(report.var.assembledBy, place === 'in root' ? 'initramfs' : 'late');
  assert.is(report.disks.find(({ holds }) => holds.includes('/'))?.bus, bus);
  assert.equal(boot.step('write'), { exit: 0, stdout: 'x\nx\nx\n', stderr: '' });
  assert.is(boot.step('disk').exit, 0);
  assert.is(boot.step('overlays').stdout, place === 'nested' ? '/var\n/var/log\n' : '/var\n');
  assert.is(boot.step('running').stdout, 'active\nactive\nactive\n');
  assert.not.match(boot.console, /Failed (to )?unmount/);
  assert.match(boot.console, /reboot: Power down/);
  return report;
}
