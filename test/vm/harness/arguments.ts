import { devicePath, volumeName } from './layout.ts';
import type { Layout } from './layout.ts';

/** What makes an emulated kernel quicker and changes nothing that a scenario looks at. */
const quick = [
  ...['quiet', 'mitigations=off', 'nokaslr', 'tsc=reliable', 'no_timer_check', 'random.trust_cpu=on'],
  ...['rcupdate.rcu_expedited=1', 'cryptomgr.notests', 'nowatchdog'],
];

/** A guest that cannot go on ends by itself; in place of an emergency shell the tree has a script that says so. */
const endOnFailure = ['rd.retry=15', 'panic=-1'];

/** The kernel arguments that a layout's guest boots with. */
export function kernelArguments(layout: Layout): string[] {
  const [root] = layout.system;
  if (!root) throw new Error('a layout without a root');
  const lvm = layout.stack === 'lvm' ? [`rd.lvm.lv=rhel/${volumeName(root)}`] : [];
  return [`root=${devicePath(layout, root)}`, ...lvm, 'ro', 'console=ttyS0', ...quick, ...endOnFailure];
}
