import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { withInitramfs } from '../harness/initramfs.ts';
import {
  assertFailing,
  assertSealed,
  checkOf,
  enforcing,
  look,
  statusOf,
  varAndLogOnLvm,
  withAgent,
} from '../harness/scenario.ts';
import type { Boot } from '../harness/scenario.ts';

const faults = suite('a sealed boot in which something breaks');

/** The kernel refuses to load the overlay. */
const noOverlay = ['module_blacklist=overlay'];
const configure = (line: string) => (root: string) =>
  appendFile(join(root, 'etc/immutafs/immutafs.conf'), `${line}\n`);

/** In the cgroup $group the kernel ends what asks for more memory than hardly any (cgroup-v2.rst, memory.max). */
const limitMemory = 'echo 512K >$group/memory.max';

faults('no overlay, ON_FAILURE=degraded: up, /var read-only, ssh there, and status says why', () =>
  withAgent({}, async (guest) => {
    const boot = await guest.boot({ disk: 'readonly', arguments: noOverlay, steps: degraded });
    assertDegraded(boot, /the kernel has no overlay file system: modprobe failed: /);
    assert.match(boot.step('write').stderr, /Read-only file system/);
  }),
);

faults('no overlay, ON_FAILURE=emergency: the emergency shell of the initramfs', () =>
  withAgent({ edit: configure('ON_FAILURE=emergency') }, async (guest) => {
    const boot = await guest.boot({ disk: 'readonly', arguments: noOverlay });
    assert.is(boot.done, false);
    assert.match(boot.console, /ON_FAILURE=emergency/);
    assert.not.match(boot.console, /Welcome to Debian/);
  }),
);

faults('no overlay, ON_FAILURE=poweroff: off, and says why', () =>
  withAgent({ edit: configure('ON_FAILURE=poweroff') }, async (guest) => {
    const boot = await guest.boot({ disk: 'readonly', arguments: noOverlay });
    assert.is(boot.done, false);
    assert.is(boot.endedBy, 'poweroff');
    assert.match(boot.console, /ON_FAILURE=poweroff/);
  }),
);

faults('a hook that is broken, or an initramfs without it: assembled late, and said', () =>
  withInitramfs({ 'usr/libexec/immutafs/assemble-var': '#!/bin/sh\nif then\n' }, (bootFiles) =>
    withAgent({ layout: varAndLogOnLvm }, async (guest) => {
      const boot = await guest.boot({ disk: 'readonly', bootFiles, steps: look });
      const report = assertSealed(boot);
      assert.is(report.var.assembledBy, 'late');
      assert.is(checkOf(report, 'initramfs-hook').status, 'warn');
    }),
  ),
);

const assembleVar = 'usr/libexec/immutafs/assemble-var';
const withoutMemory = `#!/bin/sh
group=/sys/fs/cgroup/no-memory
echo +memory >/sys/fs/cgroup/cgroup.subtree_control
mkdir $group && ${limitMemory} && echo $$ >$group/cgroup.procs
exec sh "$0.original" "$@"
`;
const outOfMemory = 'dmesg | grep "Memory cgroup out of memory"';

faults('no memory in the initramfs: assembled late, and said', () =>
  withInitramfs(
    { [assembleVar]: withoutMemory, [`${assembleVar}.original`]: { copyOf: assembleVar } },
    (bootFiles) =>
      withAgent({}, async (guest) => {
        const boot = await guest.boot({ disk: 'readonly', bootFiles, steps: { ...look, outOfMemory } });
        assert.is(boot.step('outOfMemory').exit, 0);
        const report = assertSealed(boot);
        assert.is(report.var.assembledBy, 'late');
        assert.is(checkOf(report, 'initramfs-hook').status, 'warn');
      }),
  ),
);

faults(
  'enforcing, a separate /var that cannot be mounted, and no memory for the layer over /var/log: up, and said',
  () => {
    const damage = { '/var': 'dd if=/dev/zero of="$1" bs=64k count=1 conv=notrunc' };
    return withAgent({ layout: varAndLogOnLvm, damage, edit: noMemoryForLog }, async (guest) => {
      const steps = { ...degraded, outOfMemory, labels: "stat -c '%n %C' /var /var/log /var/run" };
      const boot = await guest.boot({ disk: 'readonly', arguments: enforcing, steps });
      assertDegraded(boot, /\/var is tmpfs, not overlay; .*; \/var: mount failed: .*superblock/);
      assertDegraded(boot, /the overlay on \/var\/log was started and not finished/);
      assert.match(boot.step('write').stderr, /Read-only file system/);
      assert.is(boot.step('outOfMemory').exit, 0);
      assert.is(boot.step('log').stdout, 'xfs\n');
      assert.match(
        boot.step('labels').stdout,
        /^\/var .*:var_t:s0\n\/var\/log .*:var_log_t:s0\n.*:var_run_t:s0\n$/,
      );
      assert.match(boot.step('log').stderr, /Read-only file system/);
    });
  },
);

/** When it has begun, by the first program that it calls. */
async function noMemoryForLog(root: string): Promise<void> {
  const [programs, folder] = ['usr/local/lib/no-memory', 'etc/systemd/system/immutafs-var@var-log.service.d'];
  await mkdir(join(root, programs));
  const group = 'group=/sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)';
  const script = `#!/bin/sh\n${group}\n${limitMemory}\nexec /usr/bin/mkdir "$@"\n`;
  await writeFile(join(root, programs, 'mkdir'), script, { mode: 0o755 });
  await mkdir(join(root, folder));
  const conf = `[Service]\nEnvironment=PATH=/${programs}:/usr/sbin:/usr/bin\n`;
  await writeFile(join(root, folder, 'no-memory.conf'), conf);
}

faults('a /var in the root whose inode is damaged: up, and said', () =>
  withAgent(
    { damage: { '/': "xfs_db -x -c 'path /var' -c 'write -c core.nlinkv2 9' \"$1\"" } },
    async (guest) => {
      const boot = await guest.boot({ disk: 'readonly', steps: degraded });
      assertDegraded(boot, /not a readable directory: .*Structure needs cleaning/);
    },
  ),
);

const degraded = {
  ...look,
  ssh: 'systemctl is-active ssh',
  write: 'touch /var/mark',
  log: 'findmnt -n -o FSTYPE /var/log; touch /var/log/mark',
};

function assertDegraded(boot: Boot, why: RegExp): void {
  assert.is(boot.endedBy, 'poweroff');
  const { report, exit } = statusOf(boot);
  assert.is(exit, 1);
  assert.is(report.verdict, 'failed');
  const { status, observed } = checkOf(report, 'var-overlay');
  assert.is(status, 'fail');
  assert.match(observed, why);
  assert.is(boot.step('ssh').stdout, 'active\n');
  assert.is.not(boot.step('write').exit, 0);
}

faults('a layer that fills: ENOSPC, the guest lives, var-usage warns and then fails', () =>
  withAgent({ edit: configure('VAR_SIZE=64m\nVAR_INODES=2000') }, async (guest) => {
    const fill = (share: number) =>
      `size=$(($(stat -f -c '%b*%S/1048576' /var))); dd if=/dev/zero of=/var/tmp/fill bs=1M count=$((size * ${share} / 100))`;
    const inodes = 'i=0; while mkdir /var/tmp/d$i; do i=$((i + 1)); [ $i -lt 3000 ] || exit 9; done';
    const steps = {
      ...{
        half: fill(50),
        before: look.status,
        most: fill(85),
        warn: look.status,
        all: fill(120),
        full: look.status,
      },
      ...{
        empty: 'rm /var/tmp/fill',
        after: look.status,
        inodes,
        out: look.status,
        alive: 'systemctl is-active ssh',
      },
    };
    const boot = await guest.boot({ disk: 'readonly', steps });
    assertFailing(boot, 'before', [], 0);
    const warned = statusOf(boot, 'warn');
    assert.is(checkOf(warned.report, 'var-usage').status, 'warn');
    assert.is(warned.exit, 0);
    assert.match(boot.step('all').stderr, /No space left on device/);
    assertFailing(boot, 'full', ['var-usage']);
    assertFailing(boot, 'after', [], 0);
    assert.match(boot.step('inodes').stderr, /No space left on device/);
    assertFailing(boot, 'out', ['var-usage']);
    assert.is(boot.step('alive').stdout, 'active\n');
  }),
);

faults.run();
