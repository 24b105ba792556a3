import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { withoutAgent } from '../harness/scenario.ts';

const control = suite('a guest without the agent');

control('XFS on LVM on a read-only disk: mounting the root fails', () =>
  withoutAgent({}, async (guest) => {
    const boot = await guest.boot({ disk: 'readonly' });
    assert.is(boot.endedBy, 'emergency');
    assert.is(boot.emergency, 'initramfs');
    assert.match(boot.console, /XFS \(dm-0\): log recovery write I\/O error/);
    assert.match(boot.console, /Failed to mount .*sysroot/);
  }),
);

control.run();
