import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { driftMessage } from '../../../agent/report/log.ts';
import type { Report } from '../../../agent/report/report.ts';
import {
  type Boot,
  assertSealed,
  checkOf,
  look,
  notPassed,
  statusOf,
  withAgent,
} from '../harness/scenario.ts';
import { shared } from '../harness/shared.ts';
import {
  checkedTables,
  foreignSteps,
  foreignUnits,
  installPrograms,
  noneLogged,
  ordinarySteps,
} from './foreign-programs.ts';
import { runEverywhere } from './run-everywhere.ts';

/** A single boot, because the timer checks the guest only every minute, and other steps run in the meantime. */
const runtime = suite('a sealed guest with the default configuration at run time');

const messages = `journalctl -b -t immutafs-agent -o json MESSAGE_ID=${driftMessage.messageId}`;

/** Returns a step that prints the time at which the mount options changed, and waits for the message. */
const logged = (option: string, status: string) =>
  `mount -o remount,${option} /tmp && date +%s && timeout 90 sh -c 'until ${messages} IMMUTAFS_STATUS=${status} | grep -q .; do sleep 1; done'`;

const driftSteps = {
  // The timer runs its first check two minutes after the boot.
  timer:
    'until systemctl show -p ExecMainExitTimestampMonotonic immutafs-drift.service | grep -q "=[1-9]"; do sleep 5; done',
  quiet: messages,
  ...noneLogged,
  broken: logged('exec', 'fail'),
  repaired: logged('noexec', 'pass'),
  all: messages,
  drift: 'systemctl is-failed immutafs-drift.service',
  catalog: `journalctl -b -x MESSAGE_ID=${driftMessage.messageId}`,
  report: 'cat /run/immutafs/report.json',
  initramfs: 'sed -n s/^INITRAMFS=//p /run/immutafs/boot.env; cat /proc/self/mountinfo',
};

const booted = shared(() =>
  withAgent({ edit: installPrograms }, (guest) => {
    const steps = { ...look, ...ordinarySteps, run: runEverywhere, ...driftSteps, ...foreignSteps };
    return guest.boot({ disk: 'readonly', allUnits: true, steps, limitSeconds: 900 });
  }),
);

runtime('it is sealed, and no unit failed', async () => {
  const boot = await booted();
  assertSealed(boot);
});

runtime(
  'the default mount options: programs run from /var and /run, and from none of the three',
  async () => {
    const boot = await booted();
    const ran = [...boot.step('run').stdout.matchAll(/^ran as root in (.*)$/gm)].map(([, target]) => target);
    assert.ok(ran.includes('/var') && ran.includes('/run'), ran.join(' '));
    assert.equal(
      ran.filter((target) => /^\/(var\/tmp|var\/log|dev\/shm|tmp|home)/.test(target ?? '')),
      [],
    );
  },
);

runtime('a change is logged once within a minute; nothing is logged if nothing changed', async () => {
  const boot = await booted();
  assert.is(boot.step('quiet').stdout, '');
  const entries = entriesOf(boot, 'all');
  assert.equal(
    entries.map((entry) => ['CHECK', 'OLD_STATUS', 'STATUS'].map((name) => entry[`IMMUTAFS_${name}`])),
    [
      ['tmp-options', 'pass', 'fail'],
      ['tmp-options', 'fail', 'pass'],
    ],
  );
  for (const [index, step] of ['broken', 'repaired'].entries()) {
    assert.is(boot.step(step).exit, 0, boot.step(step).stderr);
    const loggedAt = Number(entries[index]?.['__REALTIME_TIMESTAMP']) / 1e6;
    const seconds = loggedAt - Number(boot.step(step).stdout);
    // 60 s until the timer starts the check, which takes several seconds in an emulated guest on a busy machine.
    assert.ok(seconds <= 80, `${step}: logged after ${seconds} s`);
  }
  assert.match(entries[0]?.['IMMUTAFS_REMEDY'] ?? '', 'remount,noexec');
  assert.is(boot.step('drift').stdout, 'inactive\n');
  assert.match(boot.step('catalog').stdout, driftMessage.title);
  const report = JSON.parse(boot.step('report').stdout) as Report;
  assert.is(report.boot?.stage, 'initramfs');
  assert.ok((report.boot?.ageSeconds ?? 0) > 120);
});

runtime('the initramfs recorded the device of its file system, which is mounted nowhere', async () => {
  const boot = await booted();
  const [device = '', ...mounts] = boot.step('initramfs').stdout.split('\n');
  assert.match(device, /^0:\d+$/);
  assert.not(mounts.some((line) => line.split(' ')[2] === device));
});

runtime('without foreign programs, the check passes and nothing is logged', async () => {
  const boot = await booted();
  const { report } = statusOf(boot, 'before');
  assert.is(checkOf(report, 'foreign-programs').status, 'pass', boot.step('services').stdout);
  assert.equal(report.programs, { count: 0, list: [] });
  assert.is(boot.step('none').stdout, '');
});

runtime('each program that did not come from the sealed disk is named with its unit and reason', async () => {
  const boot = await booted();
  assert.is(boot.step('pause').exit, 0, boot.step('pause').stderr);
  for (const step of ['disks', 'plant']) assert.is(boot.step(step).exit, 0, boot.step(step).stderr);
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
    protected: ['/media/copied', 'executable', 'not-sealed', 'root'],
    altered: ['/srv/usr/bin/sleep', 'executable', 'not-sealed', 'root'],
  });
  assert.is(report.programs?.count, foreignUnits.length);
  const started = report.programs?.list.map(({ startedAt }) => Date.parse(startedAt ?? '')) ?? [];
  for (const time of started) assert.ok(Math.abs(time - Date.parse(report.at)) < 300_000, String(time));
  assert.is(
    report.programs?.list.find(({ path }) => path === '/var/lib/copied')?.command,
    '/var/lib/copied 600',
  );
  assert.is(checkOf(report, 'foreign-programs').status, 'warn');
  // Nothing declares the mounts at /media and /srv, from which two of the programs run.
  assert.equal(notPassed(report), ['persistent-mounts', 'home-options', 'mount-options']);
});

runtime('tables of device-mapper are permitted by what the kernel says', async () => {
  const boot = await booted();
  const expected = Object.entries(checkedTables).map(
    ([name, [, target]]) => `${name} ${target === '' ? 0 : 1} ${target}\n`,
  );
  assert.is(boot.step('tables').stdout, expected.join(''), boot.step('tables').stderr);
});

runtime('each foreign program is logged once, and counted in the metrics and in a short text', async () => {
  const boot = await booted();
  const units = entriesOf(boot, 'logged').map((entry) => entry['IMMUTAFS_UNIT']);
  assert.equal(units.sort(), foreignUnits.map((unit) => `foreign-${unit}.service`).sort());
  assert.is(boot.step('metric').stdout, `immutafs_foreign_programs ${foreignUnits.length}\n`);
  assert.ok(boot.step('text').stdout.split('\n').length <= 40, boot.step('text').stdout);
});

runtime(
  'foreign programs warn; with FOREIGN_PROGRAMS=fail, they fail; without them, the check passes',
  async () => {
    const boot = await booted();
    const advisory = statusOf(boot, 'advisory');
    assert.is(checkOf(advisory.report, 'foreign-programs').status, 'warn');
    assert.equal(notPassed(advisory.report), ['persistent-mounts']);

    const required = statusOf(boot, 'required');
    assert.is(checkOf(required.report, 'foreign-programs').status, 'fail');
    // The mount over the configuration is itself reported.
    assert.ok(notPassed(required.report).includes('foreign-programs'));
    assert.is(checkOf(required.report, 'foreign-programs').severity, 'required');
    assert.is(required.exit, 1);

    assert.is(boot.step('stop').exit, 0, boot.step('stop').stderr);
    assert.is(checkOf(statusOf(boot, 'after').report, 'foreign-programs').status, 'pass');
  },
);

/** Returns the journal entries that a step printed as JSON. */
function entriesOf(boot: Boot, step: string): Record<string, string>[] {
  const { stdout } = boot.step(step);
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, string>);
}

runtime.run();
