import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { emptyDevice, withEmptyDisk } from '../harness/empty-disk.ts';
import { type Boot, assertSealed, checkOf, homeInRoot, look, withAgent } from '../harness/scenario.ts';

const files = { 'home-tree.sh': join(import.meta.dirname, '../../harness/home-tree.sh') };
const same = '. "$BOX/home-tree.sh"; picture /home | diff /root/home - | head -n 20';

/**
 * The initramfs has the hook, because the package's scriptlets rebuilt it. The plan, undo, and an initramfs without the
 * hook are tested in `matrix/prepare.test.ts`.
 */
const prepare = suite('prepare turns an ordinary guest into one that can be sealed');

prepare('--apply moves /home to an empty disk; the guest is ready, and boots sealed with its /home', () =>
  withEmptyDisk(400, (disk) =>
    withAgent({ layout: homeInRoot }, async (guest) => {
      const options = { drives: [disk], files };
      const open = await guest.boot({
        disk: 'writable',
        ...options,
        steps: {
          fill: '. "$BOX/home-tree.sh"; fill; picture /home >/root/home',
          notReady: 'immutafs-agent check --ready-to-seal',
          // The test itself has written to the disk since the boot.
          apply: `immutafs-agent prepare --apply --home-device ${emptyDevice} --yes --accept changes`,
          rest: 'immutafs-agent prepare',
          same,
          ready: 'immutafs-agent check --ready-to-seal',
        },
        memoryMiB: 2048,
        limitSeconds: 500,
      });
      assertPrepared(open);
      const sealed = await guest.boot({ disk: 'readonly', ...options, steps: { ...look, same } });
      assert.is(checkOf(assertSealed(sealed), 'initramfs-hook').status, 'pass');
      assert.equal(sealed.step('same'), { exit: 0, stdout: '', stderr: '' });
    }),
  ),
);

function assertPrepared(boot: Boot): void {
  assert.is(boot.step('fill').exit, 0, boot.step('fill').stderr);
  assert.is(boot.step('notReady').exit, 1);
  for (const step of ['apply', 'rest', 'ready']) {
    const { exit, stdout, stderr } = boot.step(step);
    assert.is(exit, 0, `${step}: ${stdout}\n${stderr}`);
  }
  assert.equal(boot.step('same'), { exit: 0, stdout: '', stderr: '' });
  assert.is(boot.endedBy, 'poweroff');
}

prepare.run();
