import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { withoutAgent } from '../harness/scenario.ts';

const control = suite('without the agent');

control('XFS on LVM does not even mount on a read-only disk', () =>
  withoutAgent({}, async (guest) => {
    const boot = await guest.boot({ disk: 'readonly' });
    assert.is(boot.endedBy, 'emergency');
    assert.is(boot.emergency, 'initramfs');
    assert.match(boot.console, /XFS \(dm-0\): log recovery write I\/O error/);
    assert.match(boot.console, /Failed to mount .*sysroot/);
  }),
);

control('the same on virtio-scsi: LVM refuses to activate the root', () =>
  withoutAgent({}, async (guest) => {
    const boot = await guest.boot({ disk: 'readonly', bus: 'virtio-scsi' });
    assert.is(boot.endedBy, 'emergency');
    assert.is(boot.emergency, 'initramfs');
    assert.match(boot.console, /Device lookup failed \(-EROFS\)/);
  }),
);

control('the same guest is sound: it boots where the disk is writable', () =>
  withoutAgent({}, async (guest) => {
    const boot = await guest.boot({ disk: 'writable', steps: { root: 'findmnt -no SOURCE,FSTYPE /' } });
    assert.is(boot.endedBy, 'poweroff');
    assert.is(boot.step('root').stdout, '/dev/mapper/rhel-root xfs\n');
  }),
);

control.run();
