import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { agentRpm } from '../harness/agent.ts';
import { fstab } from '../harness/fstab.ts';
import { withGuest } from '../harness/guest.ts';
import { withRunFolder } from '../harness/run-folder.ts';
import {
  type Boot,
  type Guest,
  assertNothingFailed,
  assertSealed,
  checkOf,
  look,
  statusOf,
  xfsOnLvm,
} from '../harness/scenario.ts';
import { bootFilesOf, imageOf, treeWithTwoKernels, type TwoKernels } from '../harness/second-kernel.ts';
import { templateOf } from '../harness/template.ts';

const kernels = suite('two installed kernels');

const running = { kernel: 'uname -r' };
const planned = 'immutafs-agent prepare --json --only initramfs';
/** Prints the names of the images that contain the script of the hook. The images are not compressed. */
const withHook = 'cd /boot && grep -l libexec/immutafs/immutafs-boot init* || :';

kernels(
  'the package rebuilds the initramfs of both, and both boot sealed; the one that lacks the hook is reported; erased from both',
  () =>
    withRunFolder(async (folder) => {
      const two = await treeWithTwoKernels();
      const [first, second] = two.versions;
      const template = await templateOf({ ...xfsOnLvm, fstab: 'installed' }, two.tree);
      const image = (name: string, version: string) => join(folder, name, imageOf(version));
      const plain = join(two.tree, 'root/boot', imageOf(second));
      const filesOf = (version: string, initramfs: string) => bootFilesOf(two, version, initramfs, folder);
      const plainFirst = join(two.tree, 'root/boot', imageOf(first));
      const bootFiles = await filesOf(first, plainFirst);
      await withGuest({ template: { ...template, bootFiles } }, async (guest) => {
        await install(guest, two, folder);
        for (const version of two.versions) {
          const files = await filesOf(version, image('installed', version));
          const boot = await guest.boot({
            disk: 'readonly',
            bootFiles: files,
            steps: { ...look, ...running },
          });
          assert.is(boot.step('kernel').stdout, `${version}\n`);
          assert.is(assertSealed(boot).var.assembledBy, 'initramfs');
        }
        const lacking = await erase(guest, await filesOf(second, plain), plain, folder);
        assertReported(lacking, two.versions);
        assertErased(lacking);
        for (const version of two.versions) {
          const files = await filesOf(version, image('erased', version));
          const ordinary = await guest.boot({ disk: 'readonly', bootFiles: files });
          assert.is(ordinary.emergency, 'initramfs', 'without the hook, XFS on LVM does not mount');
        }
      });
    }),
);

/** Installs the package in the running guest, as an administrator does. */
async function install(guest: Guest, { versions }: TwoKernels, folder: string): Promise<void> {
  const prepared = join(folder, 'fstab');
  await writeFile(prepared, fstab(xfsOnLvm));
  const out = join(folder, 'installed');
  await mkdir(out);
  const boot = await guest.boot({
    disk: 'writable',
    files: { 'agent.rpm': await agentRpm(), fstab: prepared },
    steps: {
      // As on RHEL.
      hostonly: `echo 'hostonly="yes"' >/etc/dracut.conf.d/zz-hostonly.conf`,
      without: withHook,
      install: 'rpm --install --nodeps "$BOX/agent.rpm"',
      prepare: 'cat "$BOX/fstab" >/etc/fstab',
      with: withHook,
      planned,
      left: 'ls -A /boot | grep "immutafs$"',
      out: 'cp /boot/init* "$OUT"',
    },
    outTo: out,
    memoryMiB: 2048,
    limitSeconds: 900,
  });
  for (const name of ['hostonly', 'without', 'install', 'prepare', 'with', 'planned', 'out']) {
    assert.is(boot.step(name).exit, 0, `${name}: ${boot.step(name).stderr}`);
    assert.is(boot.step(name).stderr, '', name);
  }
  assert.is(boot.step('without').stdout, '');
  assert.equal(linesOf(boot, 'with'), versions.map(imageOf).toSorted());
  assert.is(boot.step('left').stdout, '');
  const { state, why } = stepOf(boot, 'planned');
  assert.is(state, 'done');
  for (const version of versions) assert.match(why, version);
  assert.is(boot.endedBy, 'poweroff');
}

/**
 * Boots the second kernel with an initramfs that lacks the hook, as after an installation of the kernel without dracut's
 * modules; repairs that, and erases the package.
 */
async function erase(
  guest: Guest,
  bootFiles: Awaited<ReturnType<typeof bootFilesOf>>,
  plain: string,
  folder: string,
): Promise<Boot> {
  const out = join(folder, 'erased');
  await mkdir(out);
  const name = plain.split('/').at(-1) ?? '';
  return guest.boot({
    disk: 'writable',
    bootFiles,
    files: { plain },
    steps: {
      replace: `cat "$BOX/plain" >/boot/${name}`,
      ...running,
      ...look,
      planned,
      ready: 'immutafs-agent check --ready-to-seal',
      apply: 'immutafs-agent prepare --apply --yes --only initramfs',
      again: planned,
      repaired: withHook,
      ordinary: `sed -i 's/ ro / defaults /' /etc/fstab`,
      erase: 'rpm --erase --nodeps immutafs-agent',
      without: withHook,
      out: 'cp /boot/init* "$OUT"',
    },
    outTo: out,
    memoryMiB: 2048,
    limitSeconds: 900,
  });
}

/** Asserts that status, prepare and check --ready-to-seal report the kernel whose initramfs lacks the hook, and only this kernel. */
function assertReported(boot: Boot, [first, second]: [string, string]): void {
  assert.is(boot.step('kernel').stdout, `${second}\n`);
  const { exit, report } = statusOf(boot);
  assert.is(exit, 4);
  const { status, observed } = checkOf(report, 'initramfs-hook');
  assert.is(status, 'warn');
  assert.match(observed, 'the hook did not run');
  const { state, why } = stepOf(boot, 'planned');
  assert.is(state, 'needed');
  const lacks = `/boot/${imageOf(second)} lacks the hook of this package and the overlay driver.`;
  assert.is(why, lacks);
  const ready = boot.step('ready');
  assert.is(ready.exit, 1);
  const text = ready.stdout.replace(/\s+/g, ' ');
  assert.match(text, `initramfs: needed: ${lacks}`);
  assert.not.match(text, imageOf(first));
  assert.is(boot.step('apply').exit, 0, boot.step('apply').stdout + boot.step('apply').stderr);
  assert.is(stepOf(boot, 'again').state, 'done');
  assert.equal(linesOf(boot, 'repaired'), [first, second].map(imageOf).toSorted());
}

function assertErased(boot: Boot): void {
  for (const name of ['ordinary', 'erase', 'without', 'out']) {
    assert.is(boot.step(name).exit, 0, `${name}: ${boot.step(name).stderr}`);
    assert.is(boot.step(name).stderr, '', name);
  }
  assert.is(boot.step('without').stdout, '');
  assertNothingFailed(boot);
}

const linesOf = (boot: Boot, step: string) => boot.step(step).stdout.trimEnd().split('\n');

/** Returns the only step of a plan. */
function stepOf(boot: Boot, name: string): { state: string; why: string } {
  const { stdout, stderr } = boot.step(name);
  assert.match(stdout, /^\{/, stderr);
  const [step, ...more] = (JSON.parse(stdout) as { steps: { state: string; why: string[] }[] }).steps;
  assert.equal(more, []);
  return { state: step?.state ?? 'missing', why: step?.why.join(' ') ?? '' };
}

kernels.run();
