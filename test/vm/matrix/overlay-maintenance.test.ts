import { chmod, chown, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { withDataDisks } from '../harness/data-disks.ts';
import type { Edit } from '../harness/disk.ts';
import { denialsStep } from '../harness/denials.ts';
import { labelFiles } from '../harness/mounts.ts';
import {
  assertNothingFailed,
  assertSealed,
  checkOf,
  enforcing,
  layout,
  look,
  notPassed,
  statusOf,
  withAgent,
  xfsOnLvm,
} from '../harness/scenario.ts';
import { shared } from '../harness/shared.ts';

/** Three boots of one guest. The maintenance boot also tests what is independent of OVERLAY. */
const overlay = suite('OVERLAY sealed, and maintenance');

/** /opt is a logical volume that the initramfs does not activate, so late boot mounts its overlays. */
const optOnLvm = layout({
  system: [...xfsOnLvm.system, { target: '/opt', filesystem: 'xfs', sizeMiB: 320, options: 'ro' }],
});

const configured = '/opt/agent /srv/app/data:dev,noatime /root /opt:noexec /srv/app:suid';
/** The targets with the mounted lower layer. */
const lowers = {
  '/opt/agent': '/run/immutafs/below/opt/agent',
  '/srv/app/data': '/run/immutafs/root/srv/app/data',
  '/root': '/run/immutafs/root/root',
  '/opt': '/run/immutafs/below/opt',
  '/srv/app': '/run/immutafs/root/srv/app',
};
const targets = Object.keys(lowers);

/** Writes before sysinit.target, as early as a unit that needs the path may start. */
const earlyWriter = `[Unit]
DefaultDependencies=no
RequiresMountsFor=/opt/agent/log /srv/app/data
Before=sysinit.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'echo early >/opt/agent/early && echo early >/srv/app/data/early'
`;

const prepared: Edit = async (root, mounts) => {
  const at = (file: string) => join(root, file);
  await writeFile(at('etc/immutafs/immutafs.conf'), `OVERLAY=${configured}\n`);
  await mkdir(at('opt/agent'), { recursive: true });
  await mkdir(at('srv/app/data'), { recursive: true });
  for (const folder of ['opt', 'opt/agent', 'srv/app', 'srv/app/data', 'root']) {
    await writeFile(at(`${folder}/file`), 'disk\n');
    await writeFile(at(`${folder}/tool`), '#!/bin/sh\necho ran\n');
    await chmod(at(`${folder}/tool`), 0o755);
  }
  await chmod(at('srv/app'), 0o2750);
  await chown(at('srv/app/data'), 12, 34);
  await symlink('/opt', at('srv/link'));
  await writeFile(at('etc/systemd/system/early-writer.service'), earlyWriter);
  await mkdir(at('etc/systemd/system/sysinit.target.wants'), { recursive: true });
  await symlink(
    '../early-writer.service',
    at('etc/systemd/system/sysinit.target.wants/early-writer.service'),
  );
  await labelFiles(mounts, '/etc', '/opt', '/srv', '/root');
  // A label that the policy does not assign, as after chcon(1).
  const label = ['--name=security.selinux', '--value=system_u:object_r:usr_t:s0'];
  await mounts.chroot('setfattr', ...label, '/srv/app');
};

const inEach = (line: string) => `for d in ${targets.join(' ')}; do ${line}; done`;
const pairs = Object.entries(lowers)
  .map(([target, lower]) => `${target}:${lower}`)
  .join(' ');

const steps = {
  denials: denialsStep,
  early: 'cat /opt/agent/early /srv/app/data/early',
  ...look,
  enforce: 'getenforce',
  tools: inEach('$d/tool || echo $?'),
  write: inEach('echo new >$d/mark && echo changed >$d/file && cat $d/mark $d/file'),
  lower: `for p in ${pairs}; do cat \${p#*:}/file; ls \${p#*:}/mark; done`,
  same: `for p in ${pairs}; do for d in \${p%%:*} \${p#*:}; do stat -c '%C %a %u:%g' $d; done | uniq -c; done`,
  upper: 'find /run/var/below -name mark | sort',
};

const conf = 'OVERLAY=/usr /opt/none /opt/agent /srv/link /missing /root /home/alice /tmp /etc:noexec';
const maintenanceSteps = {
  ...look,
  enforce: 'getenforce',
  found: inEach('ls $d/mark'),
  mounts: "grep -c ' - overlay ' /proc/self/mountinfo",
  data: 'ls /dev/data/srv',
  changes: 'immutafs-agent changes',
  'changes-json': 'immutafs-agent changes --json',
  configure: `echo '${conf}' >/etc/immutafs/immutafs.conf`,
  refused: look.status,
  ready: 'immutafs-agent check --ready-to-seal',
};
const partialSteps = {
  ...look,
  write: 'for d in /opt/agent /root /etc; do echo x >$d/mark2 && cat $d/mark2; done; touch /opt/mark2',
  passwd: 'useradd written && getent passwd written | cut -d: -f1',
};

const boots = shared(() =>
  withAgent({ layout: optOnLvm, edit: prepared }, async (guest) => {
    const shown = ['systemd.show_status=1'];
    const sealed = await guest.boot({ disk: 'readonly', arguments: [...enforcing, ...shown], steps });
    const maintenance = await withDataDisks((drives) =>
      guest.boot({ disk: 'writable', drives, arguments: enforcing, steps: maintenanceSteps }),
    );
    const partial = await guest.boot({ disk: 'readonly', arguments: shown, steps: partialSteps });
    return { sealed, maintenance, partial };
  }),
);

/** systemd-tmpfiles relabels /root; SELinux denies this on a writable disk, too (smoke/selinux.test.ts). */
const asOnDisk = / relabelfrom .*:systemd_tmpfiles_t:.*:user_home_dir_t:/;

overlay(
  'enforcing: directories of the root and of a volume, nested, are writable in RAM; SELinux denies nothing',
  async () => {
    const { sealed } = await boots();
    const { overlays } = assertSealed(sealed);
    assert.is(sealed.step('enforce').stdout, 'Enforcing\n');
    assert.equal(
      overlays.map(({ target, state, lower }) => [target, state, lower]),
      Object.entries(lowers).map(([target, lower]) => [target, 'overlay', lower]),
    );
    assert.is(sealed.step('early').stdout, 'early\nearly\n');
    assert.equal(sealed.step('write'), {
      exit: 0,
      stdout: 'new\nchanged\n'.repeat(targets.length),
      stderr: '',
    });
    assert.is(sealed.step('lower').stdout, 'disk\n'.repeat(targets.length));
    // noexec only on /opt, not on the overlay below it.
    assert.is(sealed.step('tools').stdout, 'ran\nran\nran\n126\nran\n');
    const same = sealed
      .step('same')
      .stdout.split('\n')
      .filter((line) => line !== '');
    assert.is(same.length, targets.length, same.join('\n'));
    for (const line of same) assert.match(line, /^ +2 [a-z_]+:object_r:/, same.join('\n'));
    assert.match(same.join('\n'), /:usr_t:s0 2750 0:0/);
    assert.match(same.join('\n'), / 755 12:34/);
    assert.is(sealed.step('upper').stdout.split('\n').length - 1, targets.length);
    const denials = sealed.step('denials').stdout.split('\n');
    assert.equal(
      denials.filter(
        (line) => /dev="overlay"|immutafs|name="\/" .*:tmpfs_t:/.test(line) && !asOnDisk.test(line),
      ),
      [],
    );
    assert.not.match(sealed.console, /Failed (to )?unmount|FAILED/);
  },
);

overlay('enforcing, maintenance: the changes are gone, nothing is mounted, nothing failed', async () => {
  const { maintenance } = await boots();
  assert.is(maintenance.step('enforce').stdout, 'Enforcing\n');
  const { exit, report } = statusOf(maintenance);
  assert.equal([exit, notPassed(report)], [4, []]);
  assert.equal([...new Set(report.overlays.map(({ state }) => state))], ['inactive']);
  assert.is(maintenance.step('found').stdout, '');
  assert.is(maintenance.step('mounts').stdout, '0\n');
  assertNothingFailed(maintenance);
});

overlay(
  'enforcing, maintenance, with a volume group for data and an ISO: exit 4, nothing failed',
  async () => {
    const { maintenance } = await boots();
    assert.is(statusOf(maintenance).exit, 4);
    assert.is(maintenance.step('data').exit, 0, maintenance.step('data').stderr);
    assertNothingFailed(maintenance);
  },
);

overlay('maintenance: there is no layer that the command changes could list, exit 4', async () => {
  const { maintenance } = await boots();
  assert.is(maintenance.step('changes').exit, 4, maintenance.step('changes').stderr);
  assert.match(maintenance.step('changes').stdout, /maintenance mode.*rpm -Va/);
  const { exit, stdout } = maintenance.step('changes-json');
  assert.equal([exit, stdout], [4, '']);
});

overlay('maintenance: the administrator learns which paths are refused and which are missing', async () => {
  const { maintenance } = await boots();
  const refused = statusOf(maintenance, 'refused');
  assert.equal([refused.exit, notPassed(refused.report)], [1, ['overlay-paths']]);
  assert.match(checkOf(refused.report, 'overlay-paths').observed, /^\/usr is refused: /);
  const { exit: ready, stdout } = maintenance.step('ready');
  assert.is(ready, 1);
  for (const part of [
    '/usr is refused',
    '/opt/none does not exist',
    '/missing does not exist',
    '/srv/link is a symbolic link',
  ])
    assert.match(stdout.replace(/\s+/g, ' '), part);
});

overlay('refused and missing paths: each path has its own outcome, and the others are writable', async () => {
  const { partial } = await boots();
  const { exit, report } = statusOf(partial);
  assert.equal([exit, notPassed(report)], [1, ['overlay-paths']]);
  assert.equal(Object.fromEntries(report.overlays.map(({ target, state }) => [target, state])), {
    '/usr': 'refused',
    '/opt/none': 'missing',
    '/opt/agent': 'overlay',
    '/srv/link': 'failed',
    '/missing': 'missing',
    '/root': 'overlay',
    '/home/alice': 'unneeded',
    '/tmp': 'unneeded',
    '/etc': 'overlay',
  });
  assert.is(report.var.overlay, true);
  assert.equal(partial.step('write').stdout, 'x\nx\nx\n');
  assert.is(partial.step('write').exit, 1, '/opt itself has no overlay in this boot');
  assert.is(partial.step('passwd').stdout, 'written\n');
  assert.ok(report.footholds.some(({ target }) => target === '/etc'));
  // early-writer.service writes to /opt, which has no overlay in this boot.
  const failed = partial
    .step('failed')
    .stdout.split('\n')
    .flatMap((line) => /^(\S+\.service) /.exec(line)?.[1] ?? []);
  assert.equal(failed, ['early-writer.service', 'immutafs-var@opt-none.service']);
  assert.is(partial.endedBy, 'poweroff');
});

overlay.run();
