import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { assertSealed, look, varAndLogOnLvm, withAgent } from '../harness/scenario.ts';

/** The other layouts and buses are tested in `matrix/layouts.test.ts`. */
const sealed = suite('a read-only system disk');

sealed('XFS on LVM: sealed; a reboot discards changes to /var and keeps changes to /home', () =>
  withAgent({}, async (guest) => {
    const write = 'echo kept >/var/lib/mark && echo kept >/home/alice/mark && cat /var/lib/mark';
    const first = await guest.boot({
      disk: 'readonly',
      processors: 2,
      steps: { ...look, write, plant: 'touch /usr/bin/planted' },
    });
    const { disks } = assertSealed(first);
    assert.equal(
      disks.map(({ name, bus, hostReadOnly }) => ({ name, bus, hostReadOnly })),
      [
        { name: 'vda', bus: 'virtio-blk', hostReadOnly: true },
        { name: 'vdb', bus: 'virtio-blk', hostReadOnly: false },
      ],
    );
    assert.is(first.step('write').stdout, 'kept\n');
    assert.match(first.step('plant').stderr, /Read-only file system/);

    const read = { var: 'test -e /var/lib/mark', home: 'cat /home/alice/mark' };
    const second = await guest.boot({ disk: 'readonly', steps: { ...look, ...read } });
    assertSealed(second);
    assert.is(second.step('var').exit, 1);
    assert.is(second.step('home').stdout, 'kept\n');
  }),
);

sealed('/var and /var/log on their own volumes: sealed; a reboot discards changes to both', () =>
  withAgent({ layout: varAndLogOnLvm }, async (guest) => {
    const write = 'echo x >/var/lib/mark && echo x >/var/log/mark';
    const first = await guest.boot({ disk: 'readonly', steps: { ...look, write } });
    assertSealed(first);
    assert.is(first.step('write').exit, 0);
    const gone = 'test ! -e /var/lib/mark && test ! -e /var/log/mark && test -e /var/lib/dpkg/status';
    const second = await guest.boot({ disk: 'readonly', steps: { gone } });
    assert.is(second.step('gone').exit, 0);
  }),
);

sealed.run();
