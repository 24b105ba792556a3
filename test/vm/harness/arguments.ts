import { devicePath, volumeName } from './layout.ts';
import type { Layout } from './layout.ts';

/** Arguments that save time in an emulated kernel and do not affect what a scenario tests. */
const quick = [
  ...['quiet', 'mitigations=off', 'nokaslr', 'tsc=reliable', 'no_timer_check', 'random.trust_cpu=on'],
  ...['rcupdate.rcu_expedited=1', 'cryptomgr.notests', 'nowatchdog'],
];

/** Units that most scenarios do not need, and that take a sixth of a boot. */
const extraUnits = [
  'rsyslog.service',
  'syslog.socket',
  'ssh.service',
  'sshd-unix-local.socket',
  'systemd-logind.service',
  'dbus.service',
  'dbus.socket',
  'systemd-hostnamed.socket',
  'lvm2-monitor.service',
  'dm-event.socket',
  'lvm2-lvmpolld.socket',
  'blk-availability.service',
  'systemd-creds.socket',
  'systemd-sysext.socket',
  'systemd-initctl.socket',
  'systemd-modules-load.service',
  'kmod-static-nodes.service',
  'systemd-tmpfiles-setup-dev-early.service',
  'dev-mqueue.mount',
  'dev-hugepages.mount',
  'sys-kernel-debug.mount',
  'sys-kernel-tracing.mount',
];

/** Arguments with which the real root starts without these units (systemd-debug-generator(8)). */
export const withoutExtraUnits = extraUnits.map((name) => `systemd.mask=${name}`);

/**
 * Arguments that end a guest that cannot boot. A script in the tree replaces the emergency shell and reports the
 * failure.
 */
const endOnFailure = ['rd.retry=15', 'panic=-1'];

/** Returns the kernel arguments of a guest with a layout. */
export function kernelArguments(layout: Layout): string[] {
  const [root] = layout.system;
  if (!root) throw new Error('the layout has no root volume');
  const lvm = layout.stack === 'lvm' ? [`rd.lvm.lv=rhel/${volumeName(root)}`] : [];
  return [`root=${devicePath(layout, root)}`, ...lvm, 'ro', 'console=ttyS0', ...quick, ...endOnFailure];
}
