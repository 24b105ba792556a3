import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { assertDegraded, degradedSteps, limitMemory, outOfMemory } from '../harness/degraded.ts';
import { configure, enforcing, varAndLogOnLvm, withAgent } from '../harness/scenario.ts';

/** A hook without memory and a damaged inode are tested in `long/faults.test.ts`. */
const faults = suite('a sealed boot with a fault');

/** The kernel refuses to load the overlay module. */
const noOverlay = ['module_blacklist=overlay'];

faults('no overlay, ON_FAILURE=emergency: the initramfs starts its emergency shell', () =>
  withAgent({ edit: configure('ON_FAILURE=emergency\n') }, async (guest) => {
    const boot = await guest.boot({ disk: 'readonly', arguments: noOverlay });
    assert.is(boot.done, false);
    assert.match(boot.console, /ON_FAILURE=emergency/);
    assert.not.match(boot.console, /Welcome to Debian/);
  }),
);

faults(
  'enforcing, /var cannot be mounted, the overlay on /var/log is out of memory: the guest comes up, the check names both',
  () => {
    const damage = { '/var': 'dd if=/dev/zero of="$1" bs=64k count=1 conv=notrunc' };
    return withAgent({ layout: varAndLogOnLvm, damage, edit: noMemoryForLog }, async (guest) => {
      const steps = { ...degradedSteps, outOfMemory, labels: "stat -c '%n %C' /var /var/log /var/run" };
      const boot = await guest.boot({ disk: 'readonly', allUnits: true, arguments: enforcing, steps });
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

/** Makes the unit run out of memory when it calls its first program. */
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

faults.run();
