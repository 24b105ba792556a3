import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { assertNothingFailed, assertSealed, look, statusOf, withAgent } from './harness/scenario.ts';

const selinux = suite('SELinux, enforcing');

const enforcing = ['security=selinux', 'selinux=1', 'enforcing=1'];
const steps = {
  ...look,
  enforce: 'getenforce',
  label: 'stat -c %C /var /var/log /var/lib',
  journal: 'journalctl --flush && journalctl -b -u immutafs-check.service -o cat | wc -l',
  // With AVC denials the audit log or the journal has their targets.
  denials: 'journalctl -b -o cat _TRANSPORT=audit + _TRANSPORT=kernel | grep "avc: *denied" | grep overlay',
};

selinux('sealed: exit 0, the overlay has the labels of /var, nothing is denied on it', () =>
  withAgent({}, async (guest) => {
    const boot = await guest.boot({ disk: 'readonly', arguments: enforcing, steps });
    assertSealed(boot);
    assert.is(boot.step('enforce').stdout, 'Enforcing\n');
    assert.match(boot.step('label').stdout, /^\S+:var_t:\S+\n\S+:var_log_t:\S+\n\S+:var_lib_t:\S+\n$/);
    assert.is(boot.step('denials').stdout, '');
  }),
);

selinux('maintenance: exit 4, nothing failed', () =>
  withAgent({}, async (guest) => {
    const boot = await guest.boot({ disk: 'writable', arguments: enforcing, steps });
    assert.is(statusOf(boot).exit, 4);
    assert.is(boot.step('enforce').stdout, 'Enforcing\n');
    assertNothingFailed(boot);
  }),
);

selinux.run();
