import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { withoutAgent } from '../harness/scenario.ts';

/** That the same guest boots from a writable disk is tested in `smoke/selinux.test.ts`. */
const control = suite('a guest without the agent');

control('XFS on LVM on virtio-scsi on a read-only disk: LVM does not activate the root', () =>
  withoutAgent({}, async (guest) => {
    // The root never appears. By default, dracut would wait for it for 15 s.
    const boot = await guest.boot({ disk: 'readonly', bus: 'virtio-scsi', arguments: ['rd.retry=5'] });
    assert.is(boot.endedBy, 'emergency');
    assert.is(boot.emergency, 'initramfs');
    assert.match(boot.console, /Device lookup failed \(-EROFS\)/);
  }),
);

control.run();
