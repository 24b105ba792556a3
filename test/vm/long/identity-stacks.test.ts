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

stacks(
  'the root on RAID 1, the copy first: everything is mounted from the sealed disk; without the agent, the copy runs',
  () =>
    withCopiedStacks(async (boot) => {
      assertGenuine(await boot('md', copyFirst));
      const taken = await boot('md', { ...copyFirst, ...withoutHooks });
      assertTaken(taken);
      assert.match(taken.step('files').stdout, /^md genuine planted$/m);
    }),
);

stacks.run();
