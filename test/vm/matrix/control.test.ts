import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { withoutAgent } from '../harness/scenario.ts';

const control = suite('a guest without the agent');

control('XFS on LVM on virtio-scsi on a read-only disk: LVM does not activate the root', () =>
  withoutAgent({}, async (guest) => {
    const boot = await guest.boot({ disk: 'readonly', bus: 'virtio-scsi' });
    assert.is(boot.endedBy, 'emergency');
    assert.is(boot.emergency, 'initramfs');
    assert.match(boot.console, /Device lookup failed \(-EROFS\)/);
  }),
);

control('the same guest boots from a writable disk', () =>
  withoutAgent({}, async (guest) => {
    const boot = await guest.boot({ disk: 'writable', steps: { root: 'findmnt -no SOURCE,FSTYPE /' } });
    assert.is(boot.endedBy, 'poweroff');
    assert.is(boot.step('root').stdout, '/dev/mapper/rhel-root xfs\n');
  }),
);

control.run();
