import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  assertGenuine,
  assertTaken,
  copyFirst,
  withCopiedStacks,
  withoutHooks,
} from '../harness/copied-stacks.ts';

/** The other orders, and an array that spans both disks, are tested in `long/identity-stacks.test.ts`. */
const stacks = suite('a writable copy of a sealed disk with RAID 1, Btrfs and LUKS, the copy first');

stacks(
  'the root on RAID 1: everything is mounted from the sealed disk; without the agent, the copy runs',
  () =>
    withCopiedStacks(async (boot) => {
      assertGenuine(await boot('md', copyFirst));
      const taken = await boot('md', { ...copyFirst, ...withoutHooks });
      assertTaken(taken);
      assert.match(taken.step('files').stdout, /^md genuine planted$/m);
    }),
);

stacks.run();
