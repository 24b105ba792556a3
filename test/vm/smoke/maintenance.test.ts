import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { pageSteps } from '../../harness/pages/steps.ts';
import {
  type Boot,
  type Guest,
  assertFailing,
  assertNothingFailed,
  assertSealed,
  checkOf,
  look,
  notPassed,
  statusOf,
  withAgent,
} from '../harness/scenario.ts';

const maintenance = suite('maintenance: the host left the system disk writable');

maintenance('power cut in maintenance, sealed, maintenance again, sealed', () =>
  withAgent({ edit: enableAutorelabelMark }, async (guest) => {
    await cutPower(guest);
    const changing = { ...look, ...inSealed.steps, ...fullVar.steps, changed: seen, after: look.status };
    const changed = await guest.boot({ disk: 'readonly', allUnits: true, steps: changing });
    assertDirtyLog(changed);
    assertChanged(changed);

    const steps = {
      ...look,
      write: 'echo kept >/var/lib/mark && echo kept >/usr/local/mark',
      var: 'findmnt -n /var',
      nagios: 'immutafs-agent status --nagios',
      home: `mount -o remount,exec /home; ${look.status}; code=$?; mount -o remount,noexec /home; exit $code`,
      ...inOpen.steps,
    };
    const open = await guest.boot({ disk: 'writable', steps });
    assertMaintenance(open);
    inOpen.assertExits(open.step);

    const found = { read: 'cat /var/lib/mark /usr/local/mark', autorelabel: 'test -e /.autorelabel' };
    const kept = await guest.boot({ disk: 'readonly', steps: { ...look, ...found, seen, stored } });
    assertCleanAndKept(kept);
    assertStored(kept);
  }),
);

/** The commands of pages. Those for a sealed guest run in the first sealed boot. */
const file = 'test/vm/smoke/maintenance.test.ts';
const inSealed = pageSteps(file, 'docs/change.md', 'In a sealed guest, until the reboot');
const fullVar = pageSteps(file, 'docs/emergency.md', '/var is full');
const inOpen = pageSteps(file, 'docs/change.md', 'In an open guest, or in an image');

/** Prints the settings that the commands change, one a line. Only the first sealed boot starts sshd. */
const seen = [
  'hostname; sysctl -n vm.swappiness',
  "modprobe --showconfig | grep -E '^install (sctp|dccp) '",
  "mkdir -p /run/sshd; sshd -T | grep '^maxauthtries '",
  'tr "\\0" " " </proc/$(systemctl show --property=MainPID --value sshd)/cmdline | grep -o "MaxAuthTries=[0-9]*"',
  'systemctl is-active now.timer',
  'echo $(($(findmnt -nbo SIZE /run/var) >> 20)) MiB',
].join('\n');

/** Asserts that the changes in the sealed guest have an effect, and that the guest is still sealed. */
function assertChanged(boot: Boot): void {
  for (const { assertExits } of [inSealed, fullVar]) assertExits(boot.step);
  const lines =
    'db9.example.com 10 install_sctp_/bin/false maxauthtries_6 MaxAuthTries=2 active 1024_MiB'.split(' ');
  assert.equal(linesOf(boot, 'changed'), lines);
  assertFailing(boot, 'after', [], 0);
}

/** What else the commands in the open guest have stored. */
const stored = [
  "grep -c '^root:[$]' /etc/shadow; id -un deploy; date +%Z; cat /etc/cron.d/local",
  'ls /etc/systemd/system/multi-user.target.wants/remote-fs.target 2>/dev/null',
  'memory=$(sed -n "s/^MemTotal: *\\([0-9]*\\) kB/\\1/p" /proc/meminfo)',
  'echo $((($(findmnt -nbo SIZE /run/var) / 1024 * 100 + memory / 2) / memory)) %',
].join('\n');

/** Asserts that the changes of the open guest have an effect in a sealed boot, and those of the earlier sealed boot none. */
function assertStored(boot: Boot): void {
  const [host, swappiness, module, tries, timer] = linesOf(boot, 'seen');
  assert.equal(
    [host, swappiness, module, tries, timer],
    ['db8.example.com', '20', 'install_dccp_/bin/false', 'maxauthtries_3', 'inactive'],
  );
  const [password, user, zone, job, size, ...more] = linesOf(boot, 'stored');
  assert.equal(
    [password, user, job, size, more],
    ['1', 'deploy', '17_*_*_*_*_root_/usr/bin/true', '40_%', []],
  );
  assert.match(zone ?? '', /^CES?T$/);
}

const linesOf = (boot: Boot, step: string): string[] =>
  boot.step(step).stdout.trimEnd().replaceAll(' ', '_').split('\n');

/**
 * Enables a unit as Debian ships it. While SELinux is off, the unit requests a relabelling for the boot that enables
 * SELinux.
 */
const enableAutorelabelMark = (root: string): Promise<void> =>
  rm(join(root, 'etc/systemd/system/selinux-autorelabel-mark.service'));

/** Leaves entries in the logs of XFS (/) and ext4 (/boot). */
async function cutPower(guest: Guest): Promise<void> {
  const write =
    'mkdir /boot/d /usr/d; for i in 1 2 3; do echo $i >/usr/d/$i; echo $i >/boot/d/$i; done; sync -f /usr/d';
  const cut = await guest.boot({ disk: 'writable', steps: { write }, powerCutAfter: 'write' });
  assert.is(cut.endedBy, 'power-cut');
}

/** Asserts that the root is mounted without replaying its log. */
function assertDirtyLog(boot: Boot): void {
  const { status, subject } = checkOf(assertSealed(boot), 'root-log');
  assert.is(status, 'warn');
  assert.match(subject, /^\/( |$)/);
}

function assertMaintenance(boot: Boot): void {
  const { exit, report } = statusOf(boot);
  assert.equal(notPassed(report), []);
  assert.is(exit, 4);
  assert.is(report.mode, 'maintenance');
  assert.is(report.verdict, 'maintenance');
  assert.is(report.enforcement, 'none');
  assert.is(report.var.overlay, false);
  for (const id of ['root-readonly', 'host-enforced', 'var-overlay']) {
    assert.is(checkOf(report, id).status, 'skip', id);
  }
  assert.is(checkOf(report, 'home-options').status, 'pass');
  assert.is(boot.step('var').stdout, '', '/var is not a mount of its own');
  assert.is(boot.step('write').exit, 0, boot.step('write').stderr);
  assertNothingFailed(boot);
  const nagios = boot.step('nagios');
  assert.is(nagios.exit, 1);
  assert.match(nagios.stdout, /^IMMUTAFS WARNING - MAINTENANCE: [^|\n]* \| checks_failed=0;[^|\n]*\n$/);

  const broken = statusOf(boot, 'home');
  assert.equal(
    notPassed(broken.report),
    ['home-options'],
    'checks of other things than the seal still count',
  );
  assert.is(broken.exit, 1);
  assert.is(broken.report.mode, 'maintenance');
}

/** Asserts that maintenance replayed the log, and that the data written in maintenance are there. */
function assertCleanAndKept(boot: Boot): void {
  const report = assertSealed(boot);
  assert.is(checkOf(report, 'root-log').status, 'pass');
  assert.is(boot.step('autorelabel').exit, 0, 'maintenance without SELinux made /.autorelabel');
  const { status, observed } = checkOf(report, 'autorelabel-absent');
  assert.is(status, 'pass', 'it has no effect while SELinux is off');
  assert.match(observed, '/.autorelabel');
  assert.is(boot.step('read').stdout, 'kept\nkept\n');
}

maintenance.run();
