import * as assert from 'uvu/assert';
import { checkOf, statusOf } from './expect.ts';
import type { Boot } from './guest.ts';
import { look } from './scenario.ts';

/** Steps for a boot in which /var could not be assembled. */
export const degradedSteps = {
  ...look,
  ssh: 'systemctl is-active ssh',
  write: 'touch /var/mark',
  log: 'findmnt -n -o FSTYPE /var/log; touch /var/log/mark',
};

/** The kernel kills processes in the cgroup $group that use more memory (cgroup-v2.rst, memory.max). */
export const limitMemory = 'echo 512K >$group/memory.max';
export const outOfMemory = 'dmesg | grep "Memory cgroup out of memory"';

/**
 * Asserts that the guest came up without a writable /var, that sshd runs, and that the check `var-overlay` fails.
 *
 * @param why what the check observed
 */
export function assertDegraded(boot: Boot, why: RegExp): void {
  assert.is(boot.endedBy, 'poweroff');
  const { report, exit } = statusOf(boot);
  assert.is(exit, 1);
  assert.is(report.verdict, 'failed');
  const { status, observed } = checkOf(report, 'var-overlay');
  assert.is(status, 'fail');
  assert.match(observed, why, observed);
  assert.is(boot.step('ssh').stdout, 'active\n');
  assert.is.not(boot.step('write').exit, 0);
}
