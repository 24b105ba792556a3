import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  assertSealed,
  ext4OnPartition,
  look,
  varAndLogOnLvm,
  withAgent,
  xfsOnPartition,
} from '../harness/scenario.ts';

const sealed = suite('a disk that the host made read-only');

sealed('XFS on LVM: sealed; /var forgets at each boot, /home does not', () =>
  withAgent({}, async (guest) => {
    const write = 'echo kept >/var/lib/mark && echo kept >/home/alice/mark && cat /var/lib/mark';
    const first = await guest.boot({
      disk: 'readonly',
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

for (const [name, layout] of Object.entries({ xfsOnPartition, ext4OnPartition })) {
  sealed(`${name}: sealed`, () =>
    withAgent({ layout }, async (guest) => {
      const boot = await guest.boot({ disk: 'readonly', steps: { ...look, write: 'echo x >/var/lib/mark' } });
      assertSealed(boot);
      assert.is(boot.step('write').exit, 0);
    }),
  );
}

sealed('XFS on LVM on virtio-scsi: sealed', () =>
  withAgent({}, async (guest) => {
    const boot = await guest.boot({
      disk: 'readonly',
      bus: 'virtio-scsi',
      steps: { ...look, write: 'echo x >/var/lib/mark' },
    });
    const { disks } = assertSealed(boot);
    assert.is(disks.find(({ holds }) => holds.includes('/'))?.bus, 'virtio-scsi');
    assert.is(boot.step('write').exit, 0);
  }),
);

sealed('/var and /var/log on volumes of their own: sealed, both writable, both forgotten', () =>
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
