import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { withDataDisks } from '../harness/data-disks.ts';
import { assertNothingFailed, enforcing, look, statusOf, withAgent } from '../harness/scenario.ts';

const selinux = suite('SELinux, enforcing');

selinux('maintenance, with a volume group for data and an ISO: exit 4, nothing failed', () =>
  withDataDisks((drives) =>
    withAgent({}, async (guest) => {
      const steps = { ...look, enforce: 'getenforce', data: 'ls /dev/data/srv' };
      const boot = await guest.boot({ disk: 'writable', drives, arguments: enforcing, steps });
      assert.is(statusOf(boot).exit, 4);
      assert.is(boot.step('enforce').stdout, 'Enforcing\n');
      assert.is(boot.step('data').exit, 0, boot.step('data').stderr);
      assertNothingFailed(boot);
    }),
  ),
);

selinux.run();
