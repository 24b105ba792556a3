import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { agentRpm } from './agent.ts';
import { cached, digest } from './cache.ts';
import { describeDisks, disksIn } from './disk.ts';
import { fstab } from './fstab.ts';
import { withGuest } from './guest.ts';
import { bootFilesIn } from './kernel.ts';
import type { Layout } from './layout.ts';
import type { Step } from './report.ts';
import { templateOf } from './template.ts';
import type { Template } from './template.ts';
import { ordinaryTree } from './ordinary-tree.ts';

/**
 * A template in which the package was installed the way an administrator installs it, with the results of the steps.
 */
export interface Installed extends Template {
  steps: Record<string, Step>;
  /** Duration of the guest's run, in seconds. */
  seconds: number;
}

/**
 * Steps of the installation. The first step selects a host-only initramfs, as RHEL does; the initramfs of the tree is
 * generic.
 */
const steps = {
  hostonly: `echo 'hostonly="yes"' >/etc/dracut.conf.d/zz-hostonly.conf`,
  install: 'rpm --install --nodeps "$BOX/agent.rpm"',
  prepare: 'cat "$BOX/fstab" >/etc/fstab',
  out: 'cp /boot/init* "$OUT"',
};

/**
 * Boots an ordinary guest on a writable disk, installs the package there, and shuts the guest down.
 *
 * @param layout layout of the template; the guest starts with the fstab that an installer writes
 * @throws if a step fails or writes to stderr
 */
export async function installedTemplate(layout: Layout): Promise<Installed> {
  const [tree, rpm] = [await ordinaryTree(layout.release), await agentRpm()];
  const recipe = { layout, tree: basename(tree), rpm: digest(await readFile(rpm)), steps };
  const folder = await cached('installed', recipe, (unfinished) => install(layout, tree, rpm, unfinished));
  const bootFiles = await bootFilesIn(join(folder, 'boot'), join(tree, 'vmlinux'));
  const results = JSON.parse(await readFile(join(folder, 'said.json'), 'utf8')) as Pick<
    Installed,
    'steps' | 'seconds'
  >;
  return { layout, disks: await disksIn(folder), bootFiles, ...results };
}

async function install(layout: Layout, tree: string, rpm: string, folder: string): Promise<void> {
  const template = await templateOf({ ...layout, fstab: 'installed' }, tree);
  const prepared = join(folder, 'fstab');
  await writeFile(prepared, fstab(layout));
  await mkdir(join(folder, 'boot'));
  await withGuest({ template }, async (guest) => {
    const boot = await guest.boot({
      disk: 'writable',
      steps,
      files: { 'agent.rpm': rpm, fstab: prepared },
      outTo: join(folder, 'boot'),
      memoryMiB: 2048,
      limitSeconds: 500,
    });
    const results = Object.fromEntries(Object.keys(steps).map((name) => [name, boot.step(name)]));
    for (const [name, { exit, stderr }] of Object.entries(results)) {
      if (exit !== 0 || stderr !== '') throw new Error(`${name} ended with ${exit}: ${stderr}`);
    }
    if (boot.endedBy !== 'poweroff') throw new Error(`the installation ended by ${boot.endedBy}`);
    await guest.save(folder);
    await describeDisks(folder, template.disks.placements);
    await writeFile(join(folder, 'said.json'), JSON.stringify({ steps: results, seconds: boot.seconds }));
  });
}
