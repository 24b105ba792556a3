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

const stacks = suite('a writable copy of a sealed disk with RAID 1 and LUKS, in both orders');

stacks('the root on RAID 1, the sealed disk first: everything is mounted from the sealed disk', () =>
  withCopiedStacks(async (boot, { spanning }) => {
    assertGenuine(await boot(sealedFirst));

    const stopped = await boot(sealedFirst, await spanning());
    assert.equal([stopped.done, stopped.endedBy], [false, 'poweroff']);
    assert.match(stopped.console, /immutafs: \/ is mounted from \/dev\/md\d+, which poses as \/dev\/vdd4 /);
  }),
);

stacks(
  'the root on RAID 1, the copy first: everything is mounted from the sealed disk; without the agent, the copy runs',
  () =>
    withCopiedStacks(async (boot) => {
      assertGenuine(await boot(copyFirst));
      const taken = await boot({ ...copyFirst, ...withoutHooks });
      assertTaken(taken);
      assert.match(taken.step('files').stdout, /^md genuine planted$/m);
    }),
);

stacks.run();
