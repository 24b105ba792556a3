import { appendFile, chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Report } from '../../../agent/report/report.ts';
import { persistOnDataDisk, withDataDisk } from '../harness/data-disk.ts';
import { assertDegraded, degradedSteps } from '../harness/degraded.ts';
import {
  completeLog,
  denialsOfPackage,
  denialsStep,
  linesAtPowerOff,
  printDenialsAtPowerOff,
} from '../harness/denials.ts';
import type { Edit } from '../harness/disk.ts';
import { untilState, withForwardingGuest } from '../harness/forwarding-guest.ts';
import { beforeTheBoot, killedAndDegraded, withInitramfs } from '../harness/initramfs.ts';
import { labelFiles } from '../harness/mounts.ts';
import { outcomeOf, outcomeStep, settled } from '../harness/rehearsal.ts';
import {
  assertFailing,
  assertNothingFailed,
  assertSealed,
  type Boot,
  checkOf,
  enforcing,
  look,
  notPassed,
  statusOf,
  varAndLogOnLvm,
  withAgent,
} from '../harness/scenario.ts';
import { recordTransitions, transitionsOf, transitionsStep } from '../harness/transitions.ts';

/**
 * The functions of the package that `matrix/domains.test.ts` does not use, under SELinux with the module in force: no
 * access of the package is denied from power-on to power-off, and each result is the same as without SELinux.
 */
const selinux = suite('SELinux, enforcing');

const enforced = [...enforcing, ...completeLog];
const permissive = ['security=selinux', 'selinux=1', 'enforcing=0', ...completeLog];

/**
 * Denials that the package does not cause: systemd-tmpfiles relabels /root, and two programs read directories that the
 * initramfs has made in /run, also without the package (`smoke/selinux.test.ts`). The harness makes the directory on which
 * /var is mounted on a machine without SELinux. Debian's policy does not let the domain of journalctl search /var/log;
 * systemd runs journalctl at shutdown, and the steps run it in the domain initrc_t.
 */
const withoutPackage = [
  / relabelfrom .*:systemd_tmpfiles_t:.*:user_home_dir_t:/,
  /comm="systemd-modules" name="modprobe\.d" .*:tmpfs_t:/,
  /comm="systemd-journal" name="credentials" .*:tmpfs_t:/,
  /comm="systemd-tmpfile" name="var" dev="dm-0" .*:unlabeled_t:/,
  /comm="journalctl" .* scontext=\S+:systemd_journal_init_t:/,
];

/** Services that work in maintenance mode, and not in a sealed boot. Started in the rehearsal only. */
const services = {
  'opt-writer': 'echo state >/opt/vendor/state',
  'etc-writer': 'echo key >/etc/vendor/key.new && mv /etc/vendor/key.new /etc/vendor/key',
};

const folders = ['opt/agent', 'srv/app/data', 'opt/vendor', 'opt/state', 'etc/vendor', 'var/lib/keys'];
const overlays = ['/opt/agent', '/srv/app/data', '/root'];
const persisted = ['/var/lib/keys', '/opt/state'];

/** Configures OVERLAY and PERSIST; the data disk has no labels. */
const configure: Edit = async (root, mounts) => {
  await printDenialsAtPowerOff(root, mounts);
  await recordTransitions(root, mounts);
  for (const folder of folders) {
    await mkdir(join(root, folder), { recursive: true });
    await chmod(join(root, folder), 0o755);
    await writeFile(join(root, folder, 'file'), 'disk\n');
  }
  for (const [name, line] of Object.entries(services)) {
    const unit = join(root, `etc/systemd/system/${name}.service`);
    const text = `[Service]\nType=oneshot\nExecStart=/bin/sh -c '${line}'\n[Install]\nWantedBy=multi-user.target\n`;
    await writeFile(unit, text);
  }
  await persistOnDataDisk(root, `${persisted[0]} ${persisted[1]}:exec,autostart,maintenance`);
  await appendFile(join(root, 'etc/immutafs/immutafs.conf'), `OVERLAY=${overlays.join(' ')}\n`);
  const program = '#!/bin/sh\ncat /etc/shadow\n';
  await writeFile(join(root, 'usr/local/bin/confined'), program, { mode: 0o755 });
  await labelFiles(mounts, '/etc', '/opt', '/srv', '/data', '/var/lib/keys', '/usr/local/bin');
  const label = 'system_u:object_r:immutafs_forward_exec_t:s0';
  await mounts.chroot('setfattr', '-n', 'security.selinux', '-v', label, '/usr/local/bin/confined');
};

const mainOf = (unit: string) => `systemctl show --property MainPID ${unit} | sed s/.*=//`;
const domainOf = (unit: string) => `cat /proc/$(${mainOf(unit)})/attr/current`;
const paths = [...overlays, ...persisted].join(' ');
const write = `for d in ${paths}; do echo x >$d/mark && mv $d/mark $d/mark2 && cat $d/mark2; done`;
/** Compares the labels of the writable directories with those on the disk. */
const labels = 'stat -c "%n %C" /opt/agent /srv/app/data /root /var/lib/keys /var/lib/keys/file /opt/state';
/** Prints the label of a file that `prepare` edits, restores and creates. Its label is not the one of the policy. */
const edits = `set -e; test ! -e /var/lib/immutafs/prepare.json; file=/etc/immutafs/accepted-writes; mkdir /opt/b
accept() { immutafs-agent prepare --apply --yes --only writes --accept /opt/b >&2 || test $? = 1; }
label() { echo "$1 $(stat -c %C $file | cut -d: -f3) $(wc -l <$file)"; }
echo /opt/a >$file; chcon -t net_conf_t $file
accept; label edited; immutafs-agent prepare --undo >&2; label restored; rm $file
accept; label created; restorecon -n -v $file; immutafs-agent prepare --undo >&2; test ! -e $file`;
const records = { transitions: transitionsStep, denials: denialsStep };

const asService = 'systemd-run --quiet --wait --property StandardOutput=null';
const sealedSteps = {
  connected: untilState('connected'),
  enforce: 'getenforce',
  write,
  labels,
  drift: 'systemctl start immutafs-drift',
  changes: `${asService} immutafs-agent changes --json`,
  export: `${asService} immutafs-agent changes --export /home/evidence.tar && tar -tf /home/evidence.tar | wc -l`,
  forwarder: domainOf('immutafs-forward'),
  'at-boot': 'cat /run/immutafs/report.json',
  ...look,
  ...records,
};

selinux('sealed with OVERLAY and PERSIST, maintenance, a rehearsal, and no overlay file system', () =>
  withDataDisk((drive) =>
    withForwardingGuest({ edit: configure }, async (start, log) => {
      log.start();
      const drives = [drive];
      assertWritable(
        await start({ drives, allUnits: true, arguments: enforced, steps: sealedSteps, limitSeconds: 900 }),
      );

      const open = { disk: 'writable', drives, limitSeconds: 900 } as const;
      const maintenance = await start({
        ...open,
        allUnits: true,
        arguments: enforced,
        steps: {
          ...look,
          ready: 'immutafs-agent check --ready-to-seal',
          edits,
          enable: `systemctl --quiet enable ${Object.keys(services).join(' ')}`,
          request: 'immutafs-agent prepare --rehearse --discard-state --limit 20m',
          requested: outcomeStep,
          ...records,
        },
      });
      assertMaintenance(maintenance);

      const rehearsal = await start({
        ...open,
        allUnits: true,
        arguments: enforced,
        steps: {
          ...look,
          settled,
          recorder: domainOf('immutafs-rehearsal'),
          config: 'stat -c "%n %C" /etc /etc/immutafs /etc/immutafs/rehearsal /etc/immutafs/immutafs.conf',
          interim: outcomeStep,
          ...records,
          end: 'immutafs-agent prepare --end-rehearsal; sleep 900',
        },
      });
      assertRehearsal(rehearsal);

      const degraded = await start({
        allUnits: true,
        arguments: [...enforced, 'module_blacklist=overlay'],
        steps: { ...degradedSteps, enforce: 'getenforce', ...records },
      });
      assertWithoutOverlay(degraded);

      // Last, because the audit trail on the disk then has denials.
      const after = await start({
        ...open,
        arguments: permissive,
        steps: {
          ...look,
          enforce: 'getenforce',
          outcome: outcomeStep,
          ...records,
          // The counterpart: a program in the domain of the forwarder does what the forwarder never does.
          confined: 'systemd-run --quiet --wait confined',
          'denials-of-confined': denialsStep,
        },
      });
      assertReported(after);
    }),
  ),
);

/** Asserts that everything works as without SELinux, and in which domains the services ran. */
function assertWritable(boot: Boot): void {
  assertNothingDenied(boot);
  for (const step of ['connected', 'write', 'labels', 'changes', 'export'])
    assert.is(boot.step(step).exit, 0, `${step}: ${boot.step(step).stderr}`);
  assert.is(boot.step('enforce').stdout, 'Enforcing\n');
  const report = assertSealed(boot);
  assert.equal(
    report.overlays.map(({ target, state }) => [target, state]),
    overlays.map((target) => [target, 'overlay']),
  );
  assert.equal(
    report.persisted.map(({ path, state }) => [path, state]),
    persisted.map((path) => [path, 'kept']),
  );
  assert.is(boot.step('write').stdout, 'x\n'.repeat(5));
  assert.match(boot.step('labels').stdout, /^\/opt\/agent \S+:usr_t:\S+\n\/srv\/app\/data \S+:var_t:\S+\n/);
  assert.match(
    boot.step('labels').stdout,
    /\n\/var\/lib\/keys \S+:var_lib_t:\S+\n\/var\/lib\/keys\/file \S+:var_lib_t:/,
  );
  assert.ok(Number(boot.step('export').stdout) > 10, boot.step('export').stdout);
  assert.match(boot.step('forwarder').stdout, ':immutafs_forward_t:');
  for (const each of [report, JSON.parse(boot.step('at-boot').stdout) as Report]) {
    const { status, observed } = checkOf(each, 'selinux-domain');
    assert.is(status, 'pass', observed);
  }
  assert.equal(transitionsOf(boot), [
    '/usr/bin/immutafs-agent immutafs_t',
    '/usr/libexec/immutafs/immutafs-boot immutafs_t',
    '/usr/libexec/immutafs/start-forwarder immutafs_forward_t',
  ]);
}

function assertMaintenance(boot: Boot): void {
  assertNothingDenied(boot);
  const { exit, report } = statusOf(boot);
  assert.equal([exit, report.mode, notPassed(report)], [4, 'maintenance', []]);
  assertNothingFailed(boot);
  for (const step of ['enable', 'request']) assert.is(boot.step(step).exit, 0, boot.step(step).stderr);
  assert.match(boot.step('ready').stdout, /^(Not r|R)eady to seal/);
  assert.is(outcomeOf(boot, 'requested')?.state, 'requested');
  const { exit: exitOfEdits, stdout, stderr } = boot.step('edits');
  assert.is(exitOfEdits, 0, stderr);
  assert.match(stdout, /^edited net_conf_t 3\nrestored net_conf_t 1\ncreated \w+ 4\n$/, stderr);
}

function assertRehearsal(boot: Boot): void {
  assertNothingDenied(boot);
  const { exit, report } = statusOf(boot);
  assert.equal([exit, report.verdict, report.mode, notPassed(report)], [4, 'rehearsal', 'sealed', []]);
  assert.match(boot.step('failed').stdout, /etc-writer\.service[^]*opt-writer\.service/);
  assert.is(boot.step('settled').exit, 0);
  assert.match(boot.step('recorder').stdout, ':immutafs_t:');
  assert.not.match(boot.step('config').stdout, 'unlabeled_t');
  assert.is(outcomeOf(boot, 'interim')?.state, 'running');
  assert.ok(transitionsOf(boot).includes('/usr/bin/immutafs-agent immutafs_t'));
  assert.is(boot.endedBy, 'poweroff');
  assert.not.ok(boot.done, 'the reboot was not the end of the steps');
}

/** Asserts what the rehearsal has recorded, and that a denial would be found. */
function assertReported(boot: Boot): void {
  assert.is(boot.step('enforce').stdout, 'Permissive\n');
  assert.is(statusOf(boot).report.mode, 'maintenance');
  const outcome = outcomeOf(boot, 'outcome');
  if (outcome?.state !== 'ended') throw new Error(JSON.stringify(outcome));
  assert.is(outcome.how, 'command');
  const observed = outcome.report.observations.map(
    ({ kind, subject, folder }) => `${kind} ${subject} ${folder ?? ''}`,
  );
  for (const each of [
    'failed opt-writer.service ',
    'failed etc-writer.service ',
    'refused opt-writer.service /opt/vendor',
    'refused etc-writer.service /etc/vendor',
  ])
    assert.ok(observed.includes(each), `${each} is in ${observed.join('; ')}`);
  assert.equal(deniedIn(boot, 'denials'), []);
  const counterpart = [deniedIn(boot, 'denials-of-confined'), ofPackageIn(linesAtPowerOff(boot))];
  for (const lines of counterpart) {
    assert.ok(lines.length > 0);
    for (const line of lines) assert.match(line, /immutafs_forward_t:s0 tcontext=\S+:shadow_t:/);
  }
}

/** Asserts that the guest comes up without overlays and without the data disk, and reports both. */
function assertWithoutOverlay(boot: Boot): void {
  assertNothingDenied(boot);
  assert.is(boot.step('enforce').stdout, 'Enforcing\n');
  assertDegraded(boot, /the kernel has no overlay file system: modprobe failed: /);
  assert.ok(transitionsOf(boot).includes('/usr/libexec/immutafs/immutafs-boot immutafs_t'));
  const { report } = statusOf(boot);
  for (const id of ['overlay-paths', 'persisted-paths']) assert.is(checkOf(report, id).status, 'fail', id);
  assert.match(
    checkOf(report, 'persisted-paths').observed,
    'the file system of PERSIST_STORE at /data is not mounted',
  );
}

selinux(
  'immutafs-boot is killed in the initramfs, separate /var and /var/log; then the upper layer fills up',
  () =>
    withInitramfs(beforeTheBoot(killedAndDegraded), (bootFiles) =>
      withAgent({ layout: varAndLogOnLvm, edit: configureSmall }, async (guest) => {
        const fill = 'dd if=/dev/zero of=/var/tmp/fill bs=1M count=100';
        const full = {
          fill,
          full: look.status,
          drift: 'systemctl start immutafs-drift',
          empty: 'rm /var/tmp/fill',
        };
        const steps = { enforce: 'getenforce', ...look, ...full, after: look.status, ...records };
        const boot = await guest.boot({
          disk: 'readonly',
          bootFiles,
          allUnits: true,
          arguments: enforced,
          steps,
        });
        assertNothingDenied(boot);
        assert.is(boot.step('enforce').stdout, 'Enforcing\n');
        const report = assertSealed(boot);
        assert.is(report.var.assembledBy, 'late');
        assert.is(checkOf(report, 'initramfs-hook').status, 'warn');
        assert.match(boot.step('fill').stderr, /No space left on device/);
        assertFailing(boot, 'full', ['var-usage']);
        assert.is(boot.step('drift').exit, 0);
        assertFailing(boot, 'after', [], 0);
        for (const each of ['/usr/bin/immutafs-agent', '/usr/libexec/immutafs/immutafs-boot'])
          assert.ok(transitionsOf(boot).includes(`${each} immutafs_t`), each);
      }),
    ),
);

const configureSmall: Edit = async (root, mounts) => {
  await printDenialsAtPowerOff(root, mounts);
  await recordTransitions(root, mounts);
  await appendFile(join(root, 'etc/immutafs/immutafs.conf'), 'VAR_SIZE=64m\n');
};

function assertNothingDenied(boot: Boot): void {
  assert.equal(deniedIn(boot, 'denials'), []);
  assert.equal(ofPackageIn(linesAtPowerOff(boot)), []);
}

const deniedIn = (boot: Boot, step: string) => ofPackageIn(boot.step(step).stdout.split('\n'));
const ofPackageIn = (lines: readonly string[]) => denialsOfPackage(lines, withoutPackage);

selinux.run();
