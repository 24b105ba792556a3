import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { assertNothingFailed, enforcing, look, statusOf, withAgent } from '../harness/scenario.ts';

const selinux = suite('SELinux, enforcing');

selinux('maintenance: exit 4, nothing failed', () =>
  withAgent({}, async (guest) => {
    const steps = { ...look, enforce: 'getenforce' };
    const boot = await guest.boot({ disk: 'writable', arguments: enforcing, steps });
    assert.is(statusOf(boot).exit, 4);
    assert.is(boot.step('enforce').stdout, 'Enforcing\n');
    assertNothingFailed(boot);
  }),
);

selinux.run();
