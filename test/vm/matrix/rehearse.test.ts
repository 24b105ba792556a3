import { existsSync, readFileSync } from 'node:fs';
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Outcome } from '../../../agent/prepare/rehearsal/outcome.ts';
import type { RehearsalReport } from '../../../agent/prepare/rehearsal/record.ts';
import { agentTree } from '../harness/agent.ts';
import { type Disks, editDisks, imagesIn } from '../harness/disk.ts';
import { withGuest } from '../harness/guest.ts';
import { withRunFolder } from '../harness/run-folder.ts';
import {
  type Boot,
  type Guest,
  assertNothingFailed,
  assertSealed,
  checkOf,
  look,
  notPassed,
  statusOf,
  xfsOnLvm,
} from '../harness/scenario.ts';
import { templateOf } from '../harness/template.ts';

/** Services that work in maintenance mode, and not in a sealed boot. */
const services: Record<string, string> = {
  'opt-writer': 'Type=oneshot\nExecStart=/bin/sh -c "echo state >/opt/agent/data/state"',
  'etc-writer':
    'Type=oneshot\nExecStart=/bin/sh -c "echo key >/etc/vendor/key.new && mv /etc/vendor/key.new /etc/vendor/key"',
  // A file that grows by 1 MiB a second.
  grower:
    'ExecStart=/bin/sh -c ": >/var/lib/grower/data; while :; do head -c 1048576 /dev/zero >>/var/lib/grower/data; sleep 1; done"',
};

async function addServices(root: string): Promise<void> {
  const units = join(root, 'etc/systemd/system');
  for (const folder of ['opt/agent/data', 'etc/vendor', 'var/lib/grower']) {
    await mkdir(join(root, folder), { recursive: true });
    await chmod(join(root, folder), 0o755);
  }
  for (const [name, lines] of Object.entries(services)) {
    await writeFile(join(units, `${name}.service`), `[Unit]\nDescription=${name}\n[Service]\n${lines}\n`);
    await symlink(`../${name}.service`, join(units, 'multi-user.target.wants', `${name}.service`));
  }
}

const json = 'immutafs-agent prepare --json --only mtab';
const marker = 'test -e /etc/immutafs/rehearsal/requested';
/** Prints the flags of the mount at / and of its superblock. */
const flags = `awk '$5 == "/" { split($0, part, " - "); split($6, mount, ","); split(part[2], fs, " "); split(fs[3], block, ","); print mount[1], block[1] }' /proc/self/mountinfo`;
/** Waits until the recorder has measured the growth for half a minute. */
const measured = `timeout 200 sh -c 'until awk "/\\"growth\\": \\{/ { found = 1; next } found { exit !(\\$2 + 0 >= 30) } END { if (!found) exit 1 }" /run/immutafs/rehearsal.json; do sleep 2; done'`;

/** Waits until a line of the report on the disk matches. */
const saved = (pattern: string) =>
  `timeout 300 sh -c 'until grep -q "${pattern}" /etc/immutafs/rehearsal/report.json; do sleep 1; done'`;

/** The guest ends by the reboot, not by the end of the steps. */
const untilReboot = 'sleep 900';

/** The line that the report of the first rehearsal proposes. */
const overlayLine = 'OVERLAY=/etc/vendor /opt/agent/data';
/** Prints what the services have written. */
const written = 'cat /opt/agent/data/state /etc/vendor/key';

const rehearse = suite('prepare --rehearse');

rehearse(
  'what would fail is found in one boot; with the proposed line, a rehearsal is ready, and the host can seal',
  () =>
    withTemplate((guest, disks) =>
      withRunFolder(async (folder) => {
        assertRequested(
          await guest.boot({
            disk: 'writable',
            steps: {
              ...look,
              missing: 'immutafs-agent prepare --end-rehearsal',
              request: 'immutafs-agent prepare --rehearse --limit 20m',
              requested: json,
              ready: 'immutafs-agent check --ready-to-seal',
              marker,
            },
          }),
        );
        assertRehearsal(await guest.boot({ disk: 'writable', steps: rehearsalSteps, limitSeconds: 700 }));
        await assertReport(guest);
        await assertReady(guest);
        await assertSealedByHost(guest);
        await assertLimit(guest, async () => {
          await guest.save(folder);
          return { ...disks, images: imagesIn(folder) };
        });
      }),
    ),
);

/** Calls `work` with a guest with the services, and with its disks before the first boot. */
async function withTemplate(work: (guest: Guest, disks: Disks) => Promise<void>): Promise<void> {
  const template = await templateOf(xfsOnLvm, await agentTree());
  await withGuest({ template, edit: addServices }, (guest) => work(guest, template.disks));
}

const rehearsalSteps = {
  ...look,
  text: 'immutafs-agent status',
  flags,
  write: 'touch /opt/agent/data/x',
  marker,
  refused: 'immutafs-agent prepare --rehearse',
  measured,
  interim: json,
  shown: 'immutafs-agent prepare',
  saved: 'cat /etc/immutafs/rehearsal/report.json',
  timer: 'systemctl show -p ActiveState immutafs-rehearsal-limit.timer immutafs-rehearsal.service',
  end: `immutafs-agent prepare --end-rehearsal; ${untilReboot}`,
};

function assertRequested(open: Boot): void {
  assert.is(statusOf(open).report.mode, 'maintenance');
  assert.is(open.step('failed').stdout, '');
  assert.is(open.step('missing').exit, 1);
  const { exit, stdout, stderr } = open.step('request');
  assert.is(exit, 0, stdout + stderr);
  assert.equal(outcomeOf(open, 'requested'), { state: 'requested', limitSeconds: 1200 });
  assert.match(open.step('ready').stdout, /\nThe next boot is a rehearsal for at most 20 min/);
  assert.is(open.step('marker').exit, 0);
  assert.is(open.endedBy, 'poweroff');
}

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

async function assertReport(guest: Guest): Promise<void> {
  const after = await guest.boot({
    disk: 'writable',
    steps: {
      ...look,
      outcome: json,
      shown: 'immutafs-agent prepare --only mtab',
      marker,
      // The files that the services have written to the disk in this boot are removed, so that those of the rehearsal
      // are in the overlays.
      write: `touch /opt/agent/data/x && rm /etc/systemd/system/multi-user.target.wants/grower.service \
        /opt/agent/data/state /etc/vendor/key && echo "${overlayLine}" >>/etc/immutafs/immutafs.conf`,
      request: 'immutafs-agent prepare --rehearse',
    },
  });
  assert.is(statusOf(after).exit, 4);
  assert.is(statusOf(after).report.mode, 'maintenance');
  assertNothingFailed(after);
  assert.is(after.step('marker').exit, 1);
  assert.is(after.step('write').exit, 0, after.step('write').stderr);
  assert.is(after.step('request').exit, 0, after.step('request').stderr);
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
    persistInstead: 'PERSIST=/etc/vendor /opt/agent/data',
  });
  assert.match(after.step('shown').stdout, /Not ready: \d+ problems were found\./);
}

/**
 * The counterpart: with the proposed line, and without the file that grows, nothing is found. A power cut ends this
 * rehearsal, and its report is kept.
 */
async function assertReady(guest: Guest): Promise<void> {
  const cut = await guest.boot({
    disk: 'writable',
    steps: { ...look, written, saved: saved('settledSeconds...[0-9]') },
    powerCutAfter: 'saved',
    limitSeconds: 700,
  });
  assert.is(statusOf(cut).report.verdict, 'rehearsal');
  assert.is(cut.step('failed').stdout, '');
  assert.is(cut.step('written').stdout, 'state\nkey\n');
  assert.is(cut.step('saved').exit, 0);
  assert.is(cut.endedBy, 'power-cut');

  const after = await guest.boot({
    disk: 'writable',
    steps: {
      ...look,
      outcome: json,
      request: 'immutafs-agent prepare --rehearse --limit 100s',
    },
  });
  assert.is(statusOf(after).report.mode, 'maintenance');
  assertNothingFailed(after);
  const report = ended(after, 'outcome', 'power-cut');
  assert.equal([report.ready, report.why, report.add.overlay], [true, [], ''], JSON.stringify(report));
  assert.is(after.step('request').exit, 0);
}

/** The host seals the guest, although a rehearsal is requested. */
async function assertSealedByHost(guest: Guest): Promise<void> {
  const sealed = await guest.boot({
    disk: 'readonly',
    steps: { ...look, written, shown: 'immutafs-agent prepare', marker },
  });
  const report = assertSealed(sealed);
  assert.equal(
    report.overlays.map(({ target, state }) => [target, state]),
    [
      ['/etc/vendor', 'overlay'],
      ['/opt/agent/data', 'overlay'],
    ],
  );
  assert.is(sealed.step('written').stdout, 'state\nkey\n');
  assert.is(report.rehearsal, null);
  assert.match(
    report.boot?.warnings.join() ?? '',
    /^a rehearsal was requested .* the host made the disk read-only/,
  );
  assert.is(sealed.step('marker').exit, 0);
  assert.match(
    sealed.step('shown').stdout,
    /^This guest is sealed[^]*A rehearsal was requested, but this boot is none/,
  );
}

/** The next writable boot carries out the request of `assertReady`. Its time limit ends it. */
async function assertLimit(guest: Guest, savedDisks: () => Promise<Disks>): Promise<void> {
  const limited = await guest.boot({
    disk: 'writable',
    steps: { untilReboot },
    limitSeconds: 500,
  });
  assert.is(limited.endedBy, 'poweroff');
  assert.not.ok(limited.done);
  await editDisks(await savedDisks(), async (root) => {
    const folder = join(root, 'etc/immutafs/rehearsal');
    assert.not.ok(existsSync(join(folder, 'requested')), 'the next boot is maintenance');
    const report = JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8')) as RehearsalReport;
    assert.equal([report.endedBy, report.limitSeconds], ['limit', 100]);
    assert.ok(report.uptimeSeconds >= 100 && report.uptimeSeconds < 190, String(report.uptimeSeconds));
    await Promise.resolve();
  });
}

function outcomeOf(boot: Boot, step: string): Outcome | null {
  const { stdout, stderr } = boot.step(step);
  assert.match(stdout, /^\{/, stderr);
  return (JSON.parse(stdout) as { rehearsal: Outcome | null }).rehearsal;
}

/** Returns the report of a rehearsal that has ended in this way. */
function ended(boot: Boot, step: string, how: string): RehearsalReport {
  const outcome = outcomeOf(boot, step);
  if (outcome?.state !== 'ended') throw new Error(JSON.stringify(outcome));
  assert.is(outcome.how, how);
  return outcome.report;
}

rehearse.run();
