import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  assertSealed,
  checkOf,
  layout,
  look,
  notPassed,
  statusOf,
  withAgent,
  xfsOnLvm,
} from '../harness/scenario.ts';
import { shared } from '../harness/shared.ts';
import { runEverywhere } from './run-everywhere.ts';

/** A single boot with one soft reboot. */
const strict = suite('MOUNT_OPTIONS=strict and OVERLAY, before and after a soft reboot');

/**
 * The initramfs assembles /var, which is in the root, and the paths of OVERLAY, and sets the options in them. Late boot
 * assembles the file system below /var, and sets the options of /var/log, /home and /run/user/1000.
 */
const logOnVolume = layout({
  system: [...xfsOnLvm.system, { target: '/var/log', filesystem: 'xfs', sizeMiB: 320, options: 'ro' }],
});

/** Two paths of OVERLAY of which one is below the other, and one that holds a file of the disk. */
async function configure(root: string): Promise<void> {
  await mkdir(join(root, 'opt/agent'));
  await writeFile(join(root, 'opt/agent/lower'), 'disk\n');
  const conf = 'MOUNT_OPTIONS=strict\nOVERLAY=/opt:noexec /opt/agent:noexec /root:noexec\n';
  await writeFile(join(root, 'etc/immutafs/immutafs.conf'), conf);
}

/** Starts a user manager as a login does; the guest has no pam_systemd, which would set the variable. */
const startUserManager = `folder=/run/systemd/system/user@.service.d
mkdir -p $folder
printf '[Service]\\nEnvironment=XDG_RUNTIME_DIR=/run/user/%%i\\n' >$folder/runtime.conf
systemctl daemon-reload
systemctl start user@1000.service && findmnt -n -o VFS-OPTIONS /run/user/1000`;

const marks = '/var/lib/mark /var/log/mark /opt/mark /opt/agent/mark /root/mark';

/** The soft reboot ends the first run of the steps. After the soft reboot, all steps run again. */
const steps = {
  user: startUserManager,
  before: `[ -e /run/before ] || { ${runEverywhere}; } >/run/before; cat /run/before`,
  again: `[ -e /run/again ] || { touch /run/again; for f in ${marks}; do echo kept >$f; done; systemctl soft-reboot; sleep 300; }`,
  count: 'systemctl show --value -p SoftRebootsCount',
  ...look,
  kept: `cat ${marks}`,
  write: `for f in ${marks}; do echo new >$f && cat $f; done`,
  disk: 'ls /run/immutafs/lower/lib/mark /run/immutafs/below/var+log/mark /run/immutafs/root/opt/mark',
  lower: 'cat /opt/agent/lower',
  layers: 'findmnt -rn -o TARGET,FSTYPE,OPTIONS | grep -E " overlay |/run/(var|immutafs)" | sort',
  after: runEverywhere,
  // The twin: without noexec, the same program runs.
  twin: `mount -o remount,bind,exec /run; ${runEverywhere}`,
  broken: 'immutafs-agent status --json',
};

const booted = shared(() =>
  withAgent({ layout: logOnVolume, edit: configure }, (guest) =>
    guest.boot({
      ...{ disk: 'readonly', allUnits: true, arguments: ['systemd.show_status=1'] },
      ...{ steps, limitSeconds: 600 },
    }),
  ),
);

strict('the guest stays sealed, and powers off', async () => {
  const boot = await booted();
  assert.is(boot.step('count').stdout, '1\n');
  assertSealed(boot);
  assert.is(boot.endedBy, 'poweroff');
  assert.not.match(boot.console, /Failed (to )?unmount|FAILED/);
});

strict('a soft reboot keeps the changes to /var, /var/log and the paths of OVERLAY, in RAM', async () => {
  const boot = await booted();
  const { overlays } = statusOf(boot).report;
  assert.equal(
    overlays.map(({ target, state }) => [target, state]),
    ['/opt', '/opt/agent', '/root'].map((path) => [path, 'overlay']),
    boot.step('layers').stdout,
  );
  assert.is(boot.step('kept').stdout, 'kept\n'.repeat(5));
  assert.equal(boot.step('write'), { exit: 0, stdout: 'new\n'.repeat(5), stderr: '' });
  assert.is(boot.step('disk').exit, 2);
  assert.is(boot.step('disk').stdout, '', 'no file is on the disk');
  assert.is(boot.step('lower').stdout, 'disk\n');
});

strict('nothing runs from a writable mount, before and after the soft reboot', async () => {
  const boot = await booted();
  assert.match(boot.step('user').stdout, /\bnoexec\b/);
  for (const step of ['before', 'after']) {
    const { stdout } = boot.step(step);
    assert.match(stdout, /^tried \d+\n$/, step);
    assert.ok(Number(stdout.split(' ')[1]) >= 8, stdout);
  }
  assert.equal(
    statusOf(boot).report.footholds.filter(({ executable }) => executable),
    [],
  );
});

strict('without noexec on /run, a program runs there, and mount-options fails', async () => {
  const boot = await booted();
  assert.match(boot.step('twin').stdout, /^ran as root in \/run\nran as alice in \/run\n/m);
  const { report, exit } = statusOf(boot, 'broken');
  assert.equal(notPassed(report), ['mount-options']);
  assert.is(checkOf(report, 'mount-options').observed, '/run without noexec');
  assert.is(exit, 1);
});

strict.run();
