import * as assert from 'uvu/assert';
import type { Report } from '../../../agent/report/report.ts';
import { type Boot, checkOf, look, statusOf } from './scenario.ts';

/** Returns the disk that holds a mount point. */
export const diskOf = (report: Report, target: string) =>
  report.disks.find(({ holds }) => holds.includes(target));

const everyDisk = 'for disk in /dev/vd[a-z] /dev/sd[a-z]; do [ ! -b "$disk" ] || blockdev';

/** A step for a maintenance boot: sets the flag of every disk as root can, runs `status`, and clears the flags. */
export const flagged =
  `${everyDisk} --setro "$disk"; done; ${look.status}; code=$?; ` +
  `${everyDisk} --setrw "$disk"; done; exit $code`;

/** Asserts that the flags of the step `flagged` do not count as the host's. @param before a step with `status` */
export function assertOwnFlag(boot: Boot, before = 'status'): void {
  assert.is(statusOf(boot, before).report.enforcement, 'none');
  const { report, exit } = statusOf(boot, 'flagged');
  assert.is(report.enforcement, 'guest');
  assert.is(diskOf(report, '/')?.readOnly, true);
  assert.is(diskOf(report, '/')?.hostReadOnly, false);
  assert.is(exit, 1);
  assert.is(checkOf(report, 'host-enforced').status, 'fail');
}
