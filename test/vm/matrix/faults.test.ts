import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { assertDegraded, degradedSteps } from '../harness/degraded.ts';
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
  'enforcing, /var cannot be mounted, the program is killed while it assembles /var/log: the guest comes up, the check names both',
  () => {
    const damage = { '/var': 'dd if=/dev/zero of="$1" bs=64k count=1 conv=notrunc' };
    return withAgent({ layout: varAndLogOnLvm, damage, edit: killForLog }, async (guest) => {
      const steps = { ...degradedSteps, killed, labels: "stat -c '%n %C' /var /var/log /var/run" };
      const boot = await guest.boot({ disk: 'readonly', allUnits: true, arguments: enforcing, steps });
      assertDegraded(
        boot,
        /^\/var is tmpfs, not overlay; .*; \/var: the mount of \S+ on \S+ failed: Invalid argument; see dmesg$/,
      );
      assertDegraded(boot, /the overlay on \/var\/log was started and not finished/);
      assert.match(boot.step('write').stderr, /Read-only file system/);
      assert.match(boot.step('killed').stdout, /comm="immutafs-boot".* sig=31 /);
      assert.is(boot.step('log').stdout, 'xfs\n');
      assert.match(
        boot.step('labels').stdout,
        /^\/var .*:var_t:s0\n\/var\/log .*:var_log_t:s0\n.*:var_run_t:s0\n$/,
      );
      assert.match(boot.step('log').stderr, /Read-only file system/);
    });
  },
);

const unit = 'immutafs-var@var-log.service';
const killed = 'dmesg | grep type=1326';

/** Makes the kernel kill the program of the unit when it mounts for the first time. */
async function killForLog(root: string): Promise<void> {
  const folder = join(root, 'etc/systemd/system', `${unit}.d`);
  await mkdir(folder);
  await writeFile(join(folder, 'kill.conf'), '[Service]\nSystemCallFilter=~mount\n');
}

faults.run();
