import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Report } from '../../../agent/report/report.ts';
import { breaking, changed } from '../harness/breaking.ts';
import {
  assertNothingFailed,
  checkOf,
  configure,
  enforcing,
  look,
  notPassed,
  statusOf,
  withAgent,
} from '../harness/scenario.ts';

const verify = suite('checks on a sealed guest');

verify(
  'a relabelling on the kernel command line is not run; a wrong label, and a label that the boot could not set',
  () =>
    withAgent({ edit: labelNothing }, async (guest) => {
      const steps = {
        atBoot: 'systemctl status immutafs-var.service',
        before: look.status,
        tmp: breaking('chcon -t tmpfs_t /tmp', 'restorecon -F /tmp'),
        var: breaking('chcon -t usr_t /var', 'restorecon -F /var'),
        after: look.status,
      };
      const boot = await guest.boot({ disk: 'readonly', arguments: [...enforcing, 'autorelabel=1'], steps });
      const before = statusOf(boot, 'before');
      assert.is(before.exit, 1);
      assert.equal(failing(before.report), ['autorelabel-absent']);
      assert.match(boot.step('atBoot').stdout, /chcon: .*'\/nothing': No such file or directory/);
      assert.is(checkOf(before.report, 'selinux-labels').status, 'pass');
      for (const [step, said] of [
        ['tmp', '/tmp is tmpfs_t'],
        ['var', '/var is usr_t, not var_t'],
      ] as const) {
        assert.equal(changed(boot, step), { 'selinux-labels': 'fail' });
        assert.match(checkOf(statusOf(boot, step).report, 'selinux-labels').observed, said);
      }
      assert.equal(changed(boot, 'after'), {});
    }),
);

/** Adds a command that fails to the unit that labels /var, which runs before journald starts. */
async function labelNothing(root: string): Promise<void> {
  const folder = join(root, 'etc/systemd/system/immutafs-var.service.d');
  await mkdir(folder);
  await writeFile(join(folder, 'nothing.conf'), '[Service]\nExecStartPre=-/bin/chcon -t var_t /nothing\n');
}

verify(
  'MODE=sealed on a writable disk: sealed by the guest alone; checks and write probe find when root undoes it',
  () =>
    withAgent({ edit: configure('MODE=sealed\n') }, async (guest) => {
      const steps = {
        before: look.status,
        failed: look.failed,
        var: 'findmnt -no FSTYPE /var',
        root: breaking('mount -o remount,rw /', 'mount -o remount,ro /'),
        boot: breaking('mount -o remount,rw /boot', 'mount -o remount,ro /boot'),
        after: look.status,
      };
      const boot = await guest.boot({ disk: 'writable', steps });
      const { report, exit } = statusOf(boot, 'before');
      assert.equal(notPassed(report), []);
      assert.equal([report.mode, report.verdict, report.enforcement], ['sealed', 'unenforced', 'guest']);
      assert.is(exit, 4);
      assert.is(boot.step('var').stdout, 'overlay\n');
      assertNothingFailed(boot);
      assert.equal(
        ['host-enforced', 'kernel-lockdown-hints'].map((id) => checkOf(report, id).status),
        ['warn', 'warn'],
      );
      assert.equal(changed(boot, 'root'), {
        'root-readonly': 'fail',
        'root-write-probe': 'fail',
        footholds: 'warn',
      });
      assert.equal(changed(boot, 'boot'), {
        'boot-readonly': 'fail',
        'root-write-probe': 'fail',
        footholds: 'warn',
      });
      assert.equal(changed(boot, 'after'), {});
    }),
);

function failing(report: Report): string[] {
  return report.checks
    .filter((check) => check.status === 'fail' || check.status === 'error')
    .map(({ id }) => id);
}

verify.run();
