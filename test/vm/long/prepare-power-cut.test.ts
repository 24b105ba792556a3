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
import { ordinaryTree } from '../harness/tree.ts';

/**
 * The parts of --apply in which a power cut can leave the disks in a state of its own, the line that it prints as the part begins (`switching` comes from a watcher in the guest), and
 * the milliseconds that the part takes.
 */
const parts = [
  ['making', /^Making an XFS/, 400],
  ['copying', /^Copying \/home/, 2000],
  ['comparing', /^Copying what has changed/, 2000],
  ['switching', /^switching/, 800],
  ['initramfs', /^initramfs: /, 10_000],
] as const;

/**
 * The moments ascend: each boot starts from the disks as all earlier cuts left them, with the kernel and the initramfs
 * that a boot loader finds in /boot. Each boot checks that /home is complete and runs --apply, during which the next
 * cut comes.
 */
const powerCut = suite('power cuts during prepare');

powerCut(
  'at five moments of --apply: the guest boots, /home is complete, and the next --apply completes',
  () =>
    withEmptyDisk(400, (disk) =>
      withAgent({ layout: homeInRoot, edit: withoutHook }, async (guest) => {
        const boot = async (
          state: 'writable' | 'readonly',
          steps: Record<string, string>,
          cut: { powerCutAt?: Moment } = {},
        ) =>
          guest.boot({
            disk: state,
            steps,
            ...cut,
            bootFiles: await guest.bootFilesOnDisk(),
            drives: [disk],
            files: { 'home-tree.sh': join(import.meta.dirname, '../../harness/home-tree.sh') },
            memoryMiB: 2048,
            limitSeconds: 600,
          });
        const cuts: string[] = [];
        for (const index of parts.keys()) {
          const begin = index === 0 ? { fill } : { same };
          const cut = await boot(
            'writable',
            { failed: look.failed, ...begin, apply },
            { powerCutAt: momentOf(index) },
          );
          assertCut(cut, index);
          cuts.push(reached(cut));
        }
        assertSpread(cuts);
        const last = await boot('writable', {
          failed: look.failed,
          same,
          apply,
          rest: 'immutafs-agent prepare',
        });
        assertWhole(last);
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

const apply = `(until grep -q "^UUID=.* /home " /etc/fstab; do sleep 0.1; done; echo switching >/dev/console) &
  { immutafs-agent prepare --apply --home-device ${emptyDevice} --yes --accept changes; echo "ended with $?"; } 2>&1 |
  tee /dev/console`;

/** Returns a moment in a part. If an earlier boot has completed the part, the moment is in the next part. */
function momentOf(index: number): Moment {
  const later = parts.slice(index).map(([, said]) => said.source);
  const milliseconds = Math.floor(random(`cut ${index}`) * (parts[index]?.[2] ?? 0));
  return { after: new RegExp(later.join('|'), 'm'), milliseconds };
}

/** Asserts that the guest came up with a complete /home, and that its power was cut while --apply ran. */
function assertCut(cut: Boot, index: number): void {
  const moment = `cut ${index} (seed ${seed})`;
  assert.is(cut.step('failed').stdout, '', moment);
  assert.is(cut.endedBy, 'power-cut', moment);
  if (index > 0) assertWhole(cut);
  assert.not.match(cut.console, /^ended with/m, `${moment} came too late`);
}

/** Returns the part that had begun when the power was cut. */
function reached({ console }: Boot): string {
  return parts.findLast(([, said]) => new RegExp(said, 'm').test(console))?.[0] ?? 'none';
}

/** Asserts that the cuts are spread over the parts. On a fast machine, a cut may come one part too late. */
function assertSpread(cuts: string[]): void {
  const missed = ['copying', 'initramfs'].filter((part) => !cuts.includes(part));
  assert.equal(missed, [], `cut in ${cuts.join(', ')} (seed ${seed})`);
  assert.ok(new Set(cuts).size >= 3, `cut in ${cuts.join(', ')} (seed ${seed})`);
}

function assertWhole(boot: Boot): void {
  assert.equal(boot.step('same'), { exit: 0, stdout: '', stderr: '' });
}

powerCut.run();
