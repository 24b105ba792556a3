import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { emptyDevice, withEmptyDisk } from '../harness/empty-disk.ts';
import { moveBoot } from '../harness/move-boot.ts';
import {
  type Boot,
  assertSealed,
  checkOf,
  homeInRoot,
  look,
  statusOf,
  withAgent,
} from '../harness/scenario.ts';

const files = { 'home-tree.sh': join(import.meta.dirname, '../../harness/home-tree.sh') };
const same = '. "$BOX/home-tree.sh"; picture /home | diff /root/home - | head -n 20';

/**
 * The initramfs has the hook, because the package's scriptlets rebuilt it. The plan, undo, and an initramfs without the
 * hook are tested in `matrix/prepare.test.ts`.
 */
const prepare = suite('prepare turns an ordinary guest into one that can be sealed');

prepare(
  '--apply records the move of /home, the next boot makes it, and the guest boots sealed with its /home',
  () =>
    withEmptyDisk(400, (disk) =>
      withAgent({ layout: homeInRoot }, async (guest) => {
        const options = { drives: [disk], files, memoryMiB: 2048, limitSeconds: 500 };
        const open = await guest.boot({
          disk: 'writable',
          ...options,
          steps: {
            fill: '. "$BOX/home-tree.sh"; fill; picture /home >/root/home',
            notReady: 'immutafs-agent check --ready-to-seal',
            // The test itself has written to the disk since the boot.
            apply: `immutafs-agent prepare --apply --home-device ${emptyDevice} --yes --accept changes`,
            pending: 'immutafs-agent check --ready-to-seal',
            status: look.status,
            same,
            source: 'findmnt -no SOURCE --mountpoint /home',
          },
        });
        assertRecorded(open);
        const move = await moveBoot(guest, options);
        assert.match(move.console, /immutafs: \/home moved to /);
        const moved = await guest.boot({
          disk: 'writable',
          ...options,
          steps: {
            same,
            source: 'findmnt -no SOURCE --mountpoint /home',
            rest: 'immutafs-agent prepare --apply --yes --accept changes',
            ready: 'immutafs-agent check --ready-to-seal',
            ...look,
          },
        });
        assertMoved(moved);
        const sealed = await guest.boot({ disk: 'readonly', ...options, steps: { ...look, same } });
        assert.is(checkOf(assertSealed(sealed), 'initramfs-hook').status, 'pass');
        assert.equal(sealed.step('same'), { exit: 0, stdout: '', stderr: '' });
      }),
    ),
);

function assertRecorded(boot: Boot): void {
  assert.is(boot.step('fill').exit, 0, boot.step('fill').stderr);
  assert.is(boot.step('notReady').exit, 1);
  const { exit, stdout, stderr } = boot.step('apply');
  assert.is(exit, 1, `the move remains: ${stdout}\n${stderr}`);
  assert.is(boot.step('pending').exit, 1);
  assert.match(boot.step('pending').stdout, /^Not ready to seal:\n {2}home: at next boot: /);
  assert.equal(boot.step('same'), { exit: 0, stdout: '', stderr: '' });
  assert.is(boot.step('source').exit, 1, 'nothing is moved in a running system');
  assert.is(checkOf(statusOf(boot).report, 'planned-moves').status, 'warn');
  assert.is(boot.endedBy, 'poweroff');
}

function assertMoved(boot: Boot): void {
  assert.equal(boot.step('same'), { exit: 0, stdout: '', stderr: '' });
  assert.match(boot.step('source').stdout, /^\/dev\/vd/);
  for (const step of ['rest', 'ready']) {
    const { exit, stdout, stderr } = boot.step(step);
    assert.is(exit, 0, `${step}: ${stdout}\n${stderr}`);
  }
  assert.is(boot.step('failed').stdout, '');
  assert.is(checkOf(statusOf(boot).report, 'planned-moves').status, 'pass');
}

prepare.run();
