import { cp, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { emptyDevice, withEmptyDisk } from '../harness/empty-disk.ts';
import type { Moment } from '../harness/moment.ts';
import {
  type Boot,
  assertNothingFailed,
  assertSealed,
  checkOf,
  homeInRoot,
  look,
  withAgent,
} from '../harness/scenario.ts';
import { random, seed } from '../harness/seed.ts';
import { ordinaryTree } from '../harness/ordinary-tree.ts';

/**
 * The parts in which a power cut can leave the disks in a state of its own: of --apply or of the boot that moves /home; the line
 * that the console shows as the part begins, and the milliseconds that the part takes.
 */
const parts = [
  ['making', 'apply', /^Making an XFS/m, 400],
  ['initramfs', 'apply', /^initramfs: /m, 10_000],
  ['copying', 'move', /immutafs: Copying \/home/, 2000],
  ['comparing', 'move', /immutafs: Comparing every byte of \/home/, 2000],
  ['moved', 'move', /immutafs: \/home moved to/, 300],
] as const;

/**
 * The moments ascend: each boot starts from the disks as all earlier cuts left them, with the kernel and the initramfs
 * that a boot loader finds in /boot. Before each cut, a boot that moves nothing checks that /home is complete.
 */
const powerCut = suite('power cuts during prepare');

powerCut(
  'at five moments of --apply and of the move: the guest boots, /home is complete, and the move completes',
  () =>
    withEmptyDisk(400, (disk) =>
      withAgent({ layout: homeInRoot, edit: withoutHook }, async (guest) => {
        const boot = async (
          state: 'writable' | 'readonly',
          steps: Record<string, string>,
          more: { powerCutAt?: Moment; arguments?: string[] } = {},
        ) =>
          guest.boot({
            disk: state,
            steps,
            ...more,
            bootFiles: await guest.bootFilesOnDisk(),
            drives: [disk],
            files: { 'home-tree.sh': join(import.meta.dirname, '../../harness/home-tree.sh') },
            memoryMiB: 2048,
            limitSeconds: 600,
          });
        assertWhole(await boot('writable', { fill, same }));
        for (const [name, during, said, length] of parts) {
          const milliseconds = Math.floor(random(`cut ${name}`) * length);
          const cut = await boot('writable', during === 'apply' ? { apply: applyAgain } : { apply: 'true' }, {
            powerCutAt: { after: said, milliseconds },
          });
          const moment = `cut while ${name} (seed ${seed})`;
          assert.is(cut.endedBy, 'power-cut', `${moment}: ${cut.console.slice(-2000)}`);
          assert.not.match(cut.console, /^ended with/m, `${moment} came too late`);
          const ordinary = await boot('writable', { failed: look.failed, same }, { arguments: noMove });
          assert.is(ordinary.step('failed').stdout, '', moment);
          assertWhole(ordinary);
        }
        // The boot that was cut last has a marker, unless it had removed it.
        await boot('writable', { same });
        const last = await boot('writable', {
          failed: look.failed,
          same,
          source: 'findmnt -no SOURCE --mountpoint /home',
          apply,
          rest: 'immutafs-agent prepare',
        });
        assertWhole(last);
        assert.match(last.step('source').stdout, /^\/dev\/vd/);
        assertNothingFailed(last);
        assert.match(last.console, /^ended with 0$/m, 'a cut that came too late would be seen');
        assert.is(last.step('rest').exit, 0, last.step('rest').stdout);
        const sealed = await boot('readonly', {
          ...look,
          same,
          other: `chmod u-s /home/alice/suid; ${same}`,
        });
        assertWhole(sealed);
        assert.match(sealed.step('other').stdout, /alice\/suid/, 'what is not whole would be seen');
        assert.is(checkOf(assertSealed(sealed), 'initramfs-hook').status, 'pass');
      }),
    ),
);

/** Starts the ordinary units although a move is recorded. */
const noMove = ['systemd.unit=multi-user.target'];

/** Restores the initramfs from before the package was installed. */
async function withoutHook(root: string): Promise<void> {
  const boot = join(await ordinaryTree(), 'root/boot');
  for (const name of await readdir(boot)) {
    if (name.startsWith('initr')) await cp(join(boot, name), join(root, 'boot', name), { force: true });
  }
}

const fill = `. "$BOX/home-tree.sh"; fill
  head -c 30000000 /dev/urandom | (cd /home/bob && split -a 3 -b 100000); touch -d "2011-02-03 04:05:06.7" /home /home/bob
  picture /home >/root/home; sync`;
const same = '. "$BOX/home-tree.sh"; picture /home | diff /root/home - | head -n 20';

const applyWith = (
  options: string,
) => `{ immutafs-agent prepare --apply --home-device ${emptyDevice} ${options} --yes --accept changes; echo "ended with $?"; } 2>&1 |
  tee /dev/console`;
const apply = applyWith('');
/** No move is recorded to a file system that a cut run has made. */
const applyAgain = applyWith(`--wipe ${emptyDevice}`);

function assertWhole(boot: Boot): void {
  assert.equal(boot.step('same'), { exit: 0, stdout: '', stderr: '' });
}

powerCut.run();
