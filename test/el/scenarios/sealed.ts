import { appendFile, chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  completeLog,
  denialsOfPackage,
  denialsStep,
  linesAtPowerOff,
  printDenialsAtPowerOff,
} from '../../vm/harness/denials.ts';
import type { Edit } from '../../vm/harness/disk.ts';
import {
  assertNothingFailed,
  assertSealed,
  type Boot,
  checkOf,
  configure,
  enforcing,
  look,
  notPassed,
  statusOf,
  withAgent,
} from '../../vm/harness/scenario.ts';
import { runEverywhere } from '../../vm/matrix/run-everywhere.ts';

/**
 * A sealed guest with MOUNT_OPTIONS=strict, a path of OVERLAY, and the kernel, systemd, dracut and targeted policy of a release of RHEL, in enforcing mode, with the domains of the package
 * in force, and without dontaudit rules.
 */
const sealed = suite(`sealed on ${process.env['GUEST_RELEASE'] ?? ''}`);

const edit: Edit = async (root, mounts) => {
  await printDenialsAtPowerOff(root, mounts);
  await configure('MOUNT_OPTIONS=strict\nOVERLAY=/opt:noexec\n')(root);
  const program = join(root, 'usr/local/bin/confined');
  await writeFile(program, '#!/bin/sh\ncat /etc/shadow\n');
  await chmod(program, 0o755);
  await mounts.mount('proc', '/proc', '-t', 'proc');
  await mounts.chroot('semodule', '-n', '-D', '-B', '-s', 'targeted');
  await mounts.chroot('umount', '/proc');
  const label = '/usr/local/bin/confined -- system_u:object_r:immutafs_forward_exec_t:s0\n';
  await appendFile(join(root, 'etc/selinux/targeted/contexts/files/file_contexts.local'), label);
};

const steps = {
  enforce: 'getenforce',
  drift: 'systemctl start immutafs-drift',
  at: 'systemctl show -p Result immutafs-check.service',
  ...look,
  kernel: 'uname -r',
  overlay: 'echo new >/opt/new && cat /opt/new',
  everywhere: runEverywhere,
  denials: denialsStep,
  // The counterpart: a program in the domain of the forwarder does what the forwarder never does.
  confined: 'systemd-run --quiet --wait confined',
  'denials-of-confined': denialsStep,
  // The counterpart: without noexec, the same program runs.
  executable: `mount -o remount,bind,exec /run; ${runEverywhere}`,
  broken: 'immutafs-agent status --json',
};

sealed('sealed and enforcing, nothing failed, and nothing was denied from power-on to power-off', () =>
  withAgent({ edit }, async (guest) => {
    const options = { allUnits: true, arguments: [...enforcing, ...completeLog], steps, limitSeconds: 900 };
    const boot = await guest.boot({ disk: 'readonly', ...options });
    assert.is(boot.step('enforce').stdout, 'Enforcing\n');
    const report = assertSealed(boot);
    assert.is(report.var.assembledBy, 'initramfs');
    assert.match(boot.step('kernel').stdout, release);
    assert.equal(boot.step('overlay'), { exit: 0, stdout: 'new\n', stderr: '' });
    assert.match(boot.step('everywhere').stdout, /^tried ([89]|\d\d)\n$/);
    assert.match(boot.step('executable').stdout, /^ran as root in \/run\n/m);
    assert.equal(notPassed(statusOf(boot, 'broken').report), ['mount-options']);
    const domain = checkOf(report, 'selinux-domain');
    assert.is(domain.status, 'pass', domain.observed);
    assertNothingFailed(boot);
    assert.is(boot.step('drift').exit, 0, boot.step('drift').stderr);
    assert.equal(denialsIn(boot, 'denials'), []);
    const counterpart = denialsIn(boot, 'denials-of-confined');
    assert.ok(counterpart.length > 0);
    for (const line of [...counterpart, ...denialsOfPackage(linesAtPowerOff(boot), [])])
      assert.match(line, /immutafs_forward_t:s0 tcontext=\S+:shadow_t:/);
  }),
);

/** The version of a kernel of the release. */
const release = new RegExp(`\\.${process.env['GUEST_RELEASE'] ?? ''}_\\d+\\.`);

const denialsIn = (boot: Boot, step: string) => denialsOfPackage(boot.step(step).stdout.split('\n'), []);

sealed.run();
