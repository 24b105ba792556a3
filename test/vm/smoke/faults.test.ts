import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { assertDegraded, degradedSteps } from '../harness/degraded.ts';
import { beforeTheBoot, killedAndDegraded, withInitramfs } from '../harness/initramfs.ts';
import { assertSealed, checkOf, configure, look, varAndLogOnLvm, withAgent } from '../harness/scenario.ts';

const faults = suite('a sealed boot with a fault');

/** The kernel refuses to load the overlay module. */
const noOverlay = ['module_blacklist=overlay'];

faults('no overlay, ON_FAILURE=degraded: the guest comes up with a read-only /var and sshd', () =>
  withAgent({}, async (guest) => {
    const boot = await guest.boot({
      disk: 'readonly',
      allUnits: true,
      arguments: noOverlay,
      steps: degradedSteps,
    });
    assertDegraded(boot, /the kernel has no overlay file system: modprobe failed: /);
    assert.match(boot.step('write').stderr, /Read-only file system/);
  }),
);

faults('no overlay, ON_FAILURE=poweroff: the initramfs powers the guest off', () =>
  withAgent({ edit: configure('ON_FAILURE=poweroff\n') }, async (guest) => {
    const boot = await guest.boot({ disk: 'readonly', arguments: noOverlay });
    assert.is(boot.done, false);
    assert.is(boot.endedBy, 'poweroff');
    assert.match(boot.console, /ON_FAILURE=poweroff/);
  }),
);

faults('immutafs-boot fails in the initramfs before ON_FAILURE is known: power-off', () =>
  withInitramfs(beforeTheBoot('exit 3'), (bootFiles) =>
    withAgent({}, async (guest) => {
      const boot = await guest.boot({ disk: 'readonly', bootFiles });
      assert.equal([boot.done, boot.endedBy], [false, 'poweroff']);
      assert.match(
        boot.console,
        /immutafs: immutafs-boot failed \(exit code 3\)\. .* immutafs=off; the machine powers off/,
      );
    }),
  ),
);

faults('immutafs-boot is killed, ON_FAILURE=degraded: late boot assembles /var, a check warns', () =>
  withInitramfs(beforeTheBoot(killedAndDegraded), (bootFiles) =>
    withAgent({ layout: varAndLogOnLvm }, async (guest) => {
      const boot = await guest.boot({ disk: 'readonly', bootFiles, steps: look });
      const report = assertSealed(boot);
      assert.is(report.var.assembledBy, 'late');
      assert.is(checkOf(report, 'initramfs-hook').status, 'warn');
    }),
  ),
);

faults.run();
