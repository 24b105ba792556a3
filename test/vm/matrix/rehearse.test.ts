import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { RehearsalReport } from '../../../agent/prepare/rehearsal/record.ts';
import {
  addServices,
  ended,
  marker,
  outcomeOf,
  outcomeStep,
  overlayLine,
  requestRehearsal,
  savedReport,
  untilReboot,
} from '../harness/rehearsal.ts';
import {
  type Boot,
  type Guest,
  assertNothingFailed,
  checkOf,
  look,
  notPassed,
  statusOf,
  withAgent,
} from '../harness/scenario.ts';

/** A file that grows by 1 MiB a second. */
const grower =
  'ExecStart=/bin/sh -c ": >/var/lib/grower/data; while :; do head -c 1048576 /dev/zero >>/var/lib/grower/data; sleep 1; done"';

/** The first boot is the first rehearsal. A later boot requests the second one with the command. */
async function prepared(root: string): Promise<void> {
  await mkdir(join(root, 'var/lib/grower'), { recursive: true });
  await chmod(join(root, 'var/lib/grower'), 0o755);
  await addServices(root, { grower });
  await requestRehearsal(root, 1200);
}

/** Prints the flags of the mount at / and of its superblock, which save-rehearsal makes writable while it saves the report. */
const flags = `for second in $(seq 20); do
  found=$(awk '$5 == "/" { split($0, part, " - "); split($6, mount, ","); split(part[2], fs, " "); split(fs[3], block, ","); print mount[1], block[1] }' /proc/self/mountinfo)
  [ "$found" != 'ro ro' ] || break
  sleep 1
done; echo "$found"`;
/** Waits until the recorder has measured the growth for half a minute. */
const measured = `timeout 200 sh -c 'until awk "/\\"growth\\": \\{/ { found = 1; next } found { exit !(\\$2 + 0 >= 30) } END { if (!found) exit 1 }" /run/immutafs/rehearsal.json; do sleep 2; done'`;

/**
 * A rehearsal in which nothing is found, a power cut in one, and a request that the host overrides, are tested in
 * `long/rehearse.test.ts`.
 */
const rehearse = suite('prepare --rehearse');

/** Long enough for a boot on a busy machine. */
const limitSeconds = 180;

rehearse('what would fail is found in one boot, and the next boot is maintenance', () =>
  withAgent({ edit: prepared }, async (guest) => {
    assertRehearsal(
      await guest.boot({ disk: 'writable', allUnits: true, steps: rehearsalSteps, limitSeconds: 700 }),
    );
    await assertReport(guest);
  }),
);

const rehearsalSteps = {
  ...look,
  text: 'immutafs-agent status',
  flags,
  write: 'touch /opt/agent/data/x',
  marker,
  refused: 'immutafs-agent prepare --rehearse',
  measured,
  interim: outcomeStep,
  shown: 'immutafs-agent prepare',
  saved: savedReport,
  timer: 'systemctl show -p ActiveState immutafs-rehearsal-limit.timer immutafs-rehearsal.service',
  end: `immutafs-agent prepare --end-rehearsal; ${untilReboot}`,
};

function assertRehearsal(boot: Boot): void {
  const { exit, report } = statusOf(boot);
  const { mode, verdict, enforcement } = report;
  assert.equal(
    { mode, verdict, enforcement, exit, limit: report.rehearsal?.limitSeconds, failing: notPassed(report) },
    { mode: 'sealed', verdict: 'rehearsal', enforcement: 'guest', exit: 4, limit: 1200, failing: [] },
  );
  assert.is(checkOf(report, 'host-enforced').status, 'warn');
  assert.match(boot.step('text').stdout, /REHEARSAL: only the guest enforces read-only/);
  assert.match(boot.step('failed').stdout, /etc-writer\.service[^]*opt-writer\.service/);
  assert.is(boot.step('measured').exit, 0, 'the growth was measured');
  assert.is(boot.step('flags').stdout, 'ro ro\n');
  assert.match(boot.step('write').stderr, /Read-only file system/);
  assert.is(boot.step('marker').exit, 1, 'the request is removed');
  assert.is(boot.step('refused').exit, 1);
  const interim = outcomeOf(boot, 'interim');
  assert.equal(interim?.state === 'running' && interim.report?.ready, false);
  assert.match(boot.step('shown').stdout, /This boot is a rehearsal\. It ends in/);
  const saved = JSON.parse(boot.step('saved').stdout) as RehearsalReport;
  assert.is(saved.endedBy, null, 'the report is on the disk before the rehearsal ends');
  assert.is(boot.step('timer').stdout, 'ActiveState=active\n\nActiveState=active\n');
  // The reboot, which ends QEMU, also ends the script before it can report the last step.
  assert.is(boot.endedBy, 'poweroff');
  assert.not.ok(boot.done, 'the reboot was not the end of the steps');
}

/** The next boot is maintenance. Its report names what failed, and the next rehearsal is requested. */
async function assertReport(guest: Guest): Promise<void> {
  const after = await guest.boot({
    disk: 'writable',
    allUnits: true,
    steps: {
      ...look,
      outcome: outcomeStep,
      shown: 'immutafs-agent prepare --only mtab',
      marker,
      missing: 'immutafs-agent prepare --end-rehearsal',
      // The files that the services have written to the disk in this boot are removed, so that those of the rehearsal
      // are in the overlays.
      write: `touch /opt/agent/data/x && rm /etc/systemd/system/multi-user.target.wants/grower.service \
        /opt/agent/data/state /etc/vendor/key && echo "${overlayLine}" >>/etc/immutafs/immutafs.conf`,
      undecided: 'immutafs-agent prepare --rehearse',
      request: `immutafs-agent prepare --rehearse --discard-state --limit ${limitSeconds}s`,
      requested: outcomeStep,
      ready: 'immutafs-agent check --ready-to-seal',
      marked: marker,
    },
  });
  assert.is(statusOf(after).exit, 4);
  assert.is(statusOf(after).report.mode, 'maintenance');
  assertNothingFailed(after);
  assert.is(after.step('marker').exit, 1);
  assert.is(after.step('missing').exit, 1, 'there is no rehearsal to end');
  assert.is(after.step('write').exit, 0, after.step('write').stderr);
  assert.is(after.step('undecided').exit, 1);
  assert.match(after.step('undecided').stdout, /Neither kept nor accepted: \/var\/lib\/grower \(/);
  const { exit, stdout, stderr } = after.step('request');
  assert.is(exit, 0, stdout + stderr);
  assert.equal(outcomeOf(after, 'requested'), { state: 'requested', limitSeconds });
  assert.match(after.step('ready').stdout, /\nThe next boot is a rehearsal for at most 3 min/);
  assert.is(after.step('marked').exit, 0);
  const report = ended(after, 'outcome', 'command');
  assert.is(report.ready, false);
  const said = report.observations.map(({ kind, subject, folder }) => [kind, subject, folder ?? '']);
  for (const each of [
    ['failed', 'opt-writer.service', ''],
    ['failed', 'etc-writer.service', ''],
    ['refused', 'opt-writer.service', '/opt/agent/data'],
    ['refused', 'etc-writer.service', '/etc/vendor'],
    ['full', '', ''],
  ]) {
    assert.ok(
      said.some((one) => one.join() === each.join()),
      `${each.join(' ')} is in ${JSON.stringify(report.observations, null, 1)}`,
    );
  }
  const blocking = report.observations.filter((each) => each.blocking);
  const growth = blocking.find(({ kind }) => kind === 'full');
  assert.is(growth?.paths[0], '/var/lib/grower');
  assert.match(growth?.remedy ?? '', /PERSIST=\/var\/lib\/grower\)/);
  const { seconds = 1, largest = [], forecast } = report.growth ?? {};
  const rate = (largest[0]?.bytes ?? 0) / seconds / 1024 ** 2;
  assert.ok(rate > 0.2 && rate < 1.2, `${rate} MiB/s`);
  assert.is(forecast?.full, 'in');
  assert.equal(report.add, {
    overlay: overlayLine,
    persistInstead: 'PERSIST=/etc/vendor:autostart /opt/agent/data:autostart',
  });
  assert.match(after.step('shown').stdout, /Not ready: \d+ problems were found\./);
}

rehearse.run();
