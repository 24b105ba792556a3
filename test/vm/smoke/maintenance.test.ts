import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type Boot,
  type Guest,
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
    assertDirtyLog(await guest.boot({ disk: 'readonly', steps: look }));

    const steps = {
      ...look,
      write: 'echo kept >/var/lib/mark && echo kept >/usr/local/mark',
      var: 'findmnt -n /var',
      nagios: 'immutafs-agent status --nagios',
      home: `mount -o remount,exec /home; ${look.status}; code=$?; mount -o remount,noexec /home; exit $code`,
    };
    assertMaintenance(await guest.boot({ disk: 'writable', steps }));

    const found = { read: 'cat /var/lib/mark /usr/local/mark', autorelabel: 'test -e /.autorelabel' };
    assertCleanAndKept(await guest.boot({ disk: 'readonly', steps: { ...look, ...found } }));
  }),
);

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
