import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { programMessage } from '../../../agent/report/log-messages.ts';
import { assertSealed, checkOf, look, notPassed, statusOf, withAgent } from '../harness/scenario.ts';

const programs = suite('programs that did not come from the sealed disk');

const start = (name: string, command: string) => `systemd-run -q --unit=foreign-${name} ${command}`;

/** Executes a copy of sleep in a file without a name. 319 is memfd_create(2) on x86-64. */
const memfd =
  'my $name = "hidden"; my $fd = syscall(319, $name, 0); open(my $out, ">&=", $fd) or die; ' +
  'open(my $in, "<", "/usr/bin/sleep") or die; local $/; print {$out} <$in>; $out->flush; ' +
  'exec "/proc/self/fd/$fd", "600"';

/** Starts each foreign program as a unit of its own. */
const plant = [
  'mount -o remount,bind,exec /dev/shm && mount -o remount,bind,exec /var/tmp',
  'cp /usr/bin/sleep /var/lib/copied',
  start('var', '/var/lib/copied 600'),
  'cp /usr/bin/sleep /dev/shm/copied',
  start('shm', '/dev/shm/copied 600'),
  'mount -o remount,exec /home && cp /usr/bin/sleep /home/alice/copied',
  start('home', '-p User=alice /home/alice/copied 600'),
  'cp /usr/bin/sleep /dev/shm/removed',
  start('deleted', '/dev/shm/removed 600'),
  'sleep 1 && rm /dev/shm/removed',
  start('memfd', `/usr/bin/perl -e '${memfd}'`),
  start(
    'namespace',
    "/usr/bin/unshare --mount sh -c 'mount -t tmpfs x /mnt && cp /usr/bin/sleep /mnt/copied && exec /mnt/copied 600'",
  ),
  'cp "$(readlink -f /lib/x86_64-linux-gnu/libz.so.1)" /var/tmp/preloaded.so',
  start('preload', '-E LD_PRELOAD=/var/tmp/preloaded.so /usr/bin/sleep 600'),
  // A file of the disk that is only touched is in the upper layer from then on.
  'touch /var/lib/touched',
  start('touched', '/var/lib/touched 600'),
  // Counterparts: the disk's own file in the lower layer, and a program of the disk in another mount namespace.
  start('none-lower', '/var/lib/installed 600'),
  start('none-private', '-p PrivateTmp=yes /usr/bin/sleep 600'),
  'sleep 3',
].join(' && ');

const units = ['var', 'shm', 'home', 'deleted', 'memfd', 'namespace', 'preload', 'touched'];
const stop = "systemctl stop 'foreign-*'";
const messages = `journalctl -b -o json MESSAGE_ID=${programMessage.messageId}`;

programs('each is named with its unit and reason; on an ordinary boot, none is', () =>
  withAgent({ edit: install }, async (guest) => {
    const steps = {
      ...look,
      login: "runuser -l alice -c 'sleep 600' >/dev/null 2>&1 & sleep 2",
      services: 'systemctl list-units --type=service --state=running --plain --no-legend',
      before: look.status,
      none: messages,
      plant,
      planted: look.status,
      first: 'systemctl start immutafs-drift.service && sleep 1',
      again: 'systemctl start immutafs-drift.service && sleep 1',
      logged: messages,
      text: 'COLUMNS=80 immutafs-agent status',
      metric: 'immutafs-agent status --prometheus | grep ^immutafs_foreign_programs',
      // With /home and the others executable, home-options and mount-options fail, which is not the subject here.
      restrict:
        'systemctl stop foreign-home && mount -o remount,noexec /home && for target in /dev/shm /var/tmp; do mount -o remount,bind,noexec,nosuid,nodev $target; done',
      advisory: look.status,
      required:
        'cp /etc/immutafs/immutafs.conf /run/c && echo FOREIGN_PROGRAMS=fail >>/run/c && mount --bind /run/c /etc/immutafs/immutafs.conf && immutafs-agent status --json; code=$?; umount /etc/immutafs/immutafs.conf; exit $code',
      stop,
      after: look.status,
    };
    const boot = await guest.boot({ disk: 'readonly', steps, limitSeconds: 600 });
    assertSealed(boot);

    const before = statusOf(boot, 'before').report;
    assert.is(checkOf(before, 'foreign-programs').status, 'pass', boot.step('services').stdout);
    assert.equal(before.programs, { count: 0, list: [] });
    assert.is(boot.step('none').stdout, '');

    assert.is(boot.step('plant').exit, 0, boot.step('plant').stderr);
    const { report } = statusOf(boot, 'planted');
    const found = Object.fromEntries(
      (report.programs?.list ?? []).map(({ unit, path, role, why, user }) => [
        unit.replace(/^foreign-(.*)\.service$/, '$1'),
        [path, role, why, user],
      ]),
    );
    assert.equal(found, {
      var: ['/var/lib/copied', 'executable', 'memory', 'root'],
      shm: ['/dev/shm/copied', 'executable', 'memory', 'root'],
      home: ['/home/alice/copied', 'executable', 'not-sealed', 'alice'],
      deleted: ['/dev/shm/removed (deleted)', 'executable', 'deleted', 'root'],
      memfd: ['/memfd:hidden (deleted)', 'executable', 'memfd', 'root'],
      namespace: ['/mnt/copied', 'executable', 'other-namespace', 'root'],
      preload: ['/var/tmp/preloaded.so', 'mapping', 'memory', 'root'],
      touched: ['/var/lib/touched', 'executable', 'memory', 'root'],
    });
    assert.is(report.programs?.count, units.length);
    const started = report.programs?.list.map(({ startedAt }) => Date.parse(startedAt ?? '')) ?? [];
    for (const time of started) assert.ok(Math.abs(time - Date.parse(report.at)) < 300_000, String(time));
    assert.is(
      report.programs?.list.find(({ path }) => path === '/var/lib/copied')?.command,
      '/var/lib/copied 600',
    );
    assert.is(checkOf(report, 'foreign-programs').status, 'warn');
    assert.equal(notPassed(report), ['home-options', 'mount-options']);

    const logged = boot
      .step('logged')
      .stdout.trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as Record<string, string>)['IMMUTAFS_UNIT']);
    assert.equal(logged.sort(), units.map((unit) => `foreign-${unit}.service`).sort());
    assert.is(boot.step('metric').stdout, `immutafs_foreign_programs ${units.length}\n`);
    assert.ok(boot.step('text').stdout.split('\n').length <= 40, boot.step('text').stdout);

    const advisory = statusOf(boot, 'advisory');
    assert.is(checkOf(advisory.report, 'foreign-programs').status, 'warn');
    assert.equal([advisory.report.verdict, advisory.exit], ['sealed', 0]);

    const required = statusOf(boot, 'required');
    assert.is(checkOf(required.report, 'foreign-programs').status, 'fail');
    // The mount over the configuration is itself reported.
    assert.ok(notPassed(required.report).includes('foreign-programs'));
    assert.is(checkOf(required.report, 'foreign-programs').severity, 'required');
    assert.is(required.exit, 1);

    assert.is(boot.step('stop').exit, 0, boot.step('stop').stderr);
    assert.is(checkOf(statusOf(boot, 'after').report, 'foreign-programs').status, 'pass');
  }),
);

/** Puts programs on the disk's own /var. */
async function install(root: string): Promise<void> {
  for (const name of ['installed', 'touched']) {
    await copyFile(join(root, 'usr/bin/sleep'), join(root, 'var/lib', name));
  }
}

programs.run();
