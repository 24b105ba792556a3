import { writeFile } from 'node:fs/promises';
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

const options = suite('MOUNT_OPTIONS=strict');

/** The initramfs sets the options in /var; late boot sets those of /var/log, /home and /run/user/1000. */
const logOnVolume = layout({
  system: [...xfsOnLvm.system, { target: '/var/log', filesystem: 'xfs', sizeMiB: 320, options: 'ro' }],
});

/** Starts a user manager as a login does; the guest has no pam_systemd, which would set the variable. */
const startUserManager = `folder=/run/systemd/system/user@.service.d
mkdir -p $folder
printf '[Service]\\nEnvironment=XDG_RUNTIME_DIR=/run/user/%%i\\n' >$folder/runtime.conf
systemctl daemon-reload
systemctl start user@1000.service && findmnt -n -o VFS-OPTIONS /run/user/1000`;

/** Copies a program to every writable mount and runs it there. Prints how many mounts were tried, then what ran. */
const runEverywhere = `tried=0
while read -r _ _ _ _ target flags rest; do
  case $flags in rw*) ;; *) continue ;; esac
  cp /bin/true "$target/planted" 2>/dev/null || continue
  tried=$((tried + 1))
  for user in root alice; do
    setpriv --reuid=$user --clear-groups "$target/planted" 2>/dev/null && echo "ran as $user in $target"
  done
  rm -f "$target/planted"
done </proc/self/mountinfo
echo "tried $tried"`;

options('nothing runs from a writable mount, before and after a soft reboot, and the guest powers off', () =>
  withAgent({ layout: logOnVolume, edit: makeStrict }, async (guest) => {
    const boot = await guest.boot({
      disk: 'readonly',
      arguments: ['systemd.show_status=1'],
      steps: {
        user: startUserManager,
        before: runEverywhere,
        // The soft reboot ends this run of the steps. After the soft reboot, all steps run again.
        again: `[ -e /run/again ] || { touch /run/again; systemctl soft-reboot; sleep 300; }`,
        count: 'systemctl show --value -p SoftRebootsCount',
        ...look,
        after: runEverywhere,
        // The twin: without noexec, the same program runs.
        twin: `mount -o remount,bind,exec /run; ${runEverywhere}`,
        broken: 'immutafs-agent status --json',
      },
    });
    assert.is(boot.step('count').stdout, '1\n');

    const report = assertSealed(boot);
    assert.match(boot.step('user').stdout, /\bnoexec\b/);
    for (const step of ['before', 'after']) {
      const { stdout } = boot.step(step);
      assert.match(stdout, /^tried \d+\n$/, step);
      assert.ok(Number(stdout.split(' ')[1]) >= 8, stdout);
    }
    assert.equal(
      report.footholds.filter(({ executable }) => executable),
      [],
    );
    assert.match(boot.step('twin').stdout, /^ran as root in \/run\nran as alice in \/run\n/m);
    const broken = statusOf(boot, 'broken');
    assert.equal(notPassed(broken.report), ['mount-options']);
    assert.is(checkOf(broken.report, 'mount-options').observed, '/run without noexec');
    assert.is(broken.exit, 1);
    assert.is(boot.endedBy, 'poweroff');
    assert.not.match(boot.console, /Failed (to )?unmount|FAILED/);
  }),
);

options('the defaults: programs run from /var and /run, and from none of the three', () =>
  withAgent({}, async (guest) => {
    const boot = await guest.boot({ disk: 'readonly', steps: { ...look, run: runEverywhere } });
    assertSealed(boot);
    const ran = [...boot.step('run').stdout.matchAll(/^ran as root in (.*)$/gm)].map(([, target]) => target);
    assert.ok(ran.includes('/var') && ran.includes('/run'), ran.join(' '));
    assert.equal(
      ran.filter((target) => /^\/(var\/tmp|var\/log|dev\/shm|tmp|home)/.test(target ?? '')),
      [],
    );
  }),
);

async function makeStrict(root: string): Promise<void> {
  await writeFile(join(root, 'etc/immutafs/immutafs.conf'), 'MOUNT_OPTIONS=strict\n');
}

options.run();
