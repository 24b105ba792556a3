import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { assertDegraded, degradedSteps, limitMemory, outOfMemory } from '../harness/degraded.ts';
import { beforeTheBoot, withInitramfs } from '../harness/initramfs.ts';
import { assertSealed, checkOf, look, withAgent } from '../harness/scenario.ts';

/** More common faults are tested in `smoke/faults.test.ts` and `matrix/faults.test.ts`. */
const faults = suite('a sealed boot with a rare fault');

const withoutMemory = `
group=/sys/fs/cgroup/no-memory
echo +memory >/sys/fs/cgroup/cgroup.subtree_control
mkdir $group && ${limitMemory} && echo $$ >$group/cgroup.procs
mkdir -p /run/immutafs; echo degraded >/run/immutafs/on-failure`;
faults(
  'immutafs-boot is killed for lack of memory in the initramfs: late boot assembles /var, a check warns',
  () =>
    withInitramfs(beforeTheBoot(withoutMemory), (bootFiles) =>
      withAgent({}, async (guest) => {
        const boot = await guest.boot({ disk: 'readonly', bootFiles, steps: { ...look, outOfMemory } });
        assert.is(boot.step('outOfMemory').exit, 0);
        const report = assertSealed(boot);
        assert.is(report.var.assembledBy, 'late');
        assert.is(checkOf(report, 'initramfs-hook').status, 'warn');
      }),
    ),
);

faults('the inode of /var in the root is damaged: the guest comes up, the check names the error', () =>
  withAgent(
    { damage: { '/': "xfs_db -x -c 'path /var' -c 'write -c core.nlinkv2 9' \"$1\"" } },
    async (guest) => {
      const boot = await guest.boot({ disk: 'readonly', allUnits: true, steps: degradedSteps });
      assertDegraded(boot, /not a readable directory: .*Structure needs cleaning/);
    },
  ),
);

faults.run();
