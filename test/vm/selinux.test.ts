import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { assertNothingFailed, assertSealed, look, statusOf, withAgent } from './harness/scenario.ts';

const selinux = suite('SELinux, enforcing');

const enforcing = ['security=selinux', 'selinux=1', 'enforcing=1'];
const steps = {
  ...look,
  enforce: 'getenforce',
  label: 'stat -c %C /var /var/log /var/lib',
  // Of before auditd, and of its own time.
  denials: '{ dmesg; cat /var/log/audit/audit.log; } | grep "avc: *denied"',
};

selinux('sealed: exit 0, the overlay has the labels of /var, nothing is denied on it', () =>
  withAgent({}, async (guest) => {
    const boot = await guest.boot({ disk: 'readonly', arguments: enforcing, steps });
    assertSealed(boot);
    assert.is(boot.step('enforce').stdout, 'Enforcing\n');
    assert.match(boot.step('label').stdout, /^\S+:var_t:\S+\n\S+:var_log_t:\S+\n\S+:var_lib_t:\S+\n$/);
    const denials = boot.step('denials').stdout.split('\n');
    assert.ok(denials.length > 1, 'Debian’s policy denies systemd this and that: it would be seen');
    assert.equal(
      denials.filter((line) => /dev="overlay"|path="\/(run\/)?var|immutafs/.test(line)),
      [],
    );
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
