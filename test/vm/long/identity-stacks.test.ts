import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  assertGenuine,
  assertTaken,
  copyFirst,
  sealedFirst,
  withCopiedStacks,
  withoutHooks,
} from '../harness/copied-stacks.ts';

/** The root on RAID 1 with the copy first is tested in `matrix/identity-stacks.test.ts`. */
const stacks = suite('a writable copy of a sealed disk with RAID 1, Btrfs and LUKS, in both orders');

stacks(
  'the root on Btrfs, and on RAID 1 with the sealed disk first: everything is mounted from the sealed disk',
  () =>
    withCopiedStacks(async (boot, { spanning }) => {
      assertGenuine(await boot('btrfs', sealedFirst));
      assertGenuine(await boot('btrfs', copyFirst));
      assertGenuine(await boot('md', sealedFirst));

      const stopped = await boot('md', sealedFirst, await spanning());
      assert.equal([stopped.done, stopped.endedBy], [false, 'poweroff']);
      assert.match(stopped.console, /immutafs: \/ is mounted from \/dev\/md\d+, which poses as \/dev\/vdd5 /);

      assertTaken(await boot('btrfs', { ...copyFirst, ...withoutHooks }));
    }),
);

stacks.run();
