import { devicePath, volumeName } from './layout.ts';
import type { Layout } from './layout.ts';

/** Arguments that save time in an emulated kernel and do not affect what a scenario tests. */
const quick = [
  ...['quiet', 'mitigations=off', 'nokaslr', 'tsc=reliable', 'no_timer_check', 'random.trust_cpu=on'],
  ...['rcupdate.rcu_expedited=1', 'cryptomgr.notests', 'nowatchdog'],
];

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
