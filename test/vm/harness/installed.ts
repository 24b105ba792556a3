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
import { ordinaryTree } from './tree.ts';

/** A template that came about as an administrator would do it, and what the steps of it said. */
export interface Installed extends Template {
  steps: Record<string, Step>;
  /** How long the guest ran for it. */
  seconds: number;
}

/** RHEL makes an initramfs for the machine that it is on; the tree's own one is for any. */
const steps = {
  hostonly: `echo 'hostonly="yes"' >/etc/dracut.conf.d/zz-hostonly.conf`,
  install: 'rpm --install --nodeps "$BOX/agent.rpm"',
  prepare: 'cat "$BOX/fstab" >/etc/fstab',
  out: 'cp /boot/init* "$OUT"',
};

/**
 * A guest into which the package was installed while it ran: an ordinary guest is booted on a writable disk,
 * rpm and the package's scripts do their work there, and it is shut down.
 *
 * @param layout how the guest ends up; it starts with the fstab that an installer leaves
 * @throws if a step fails or the package's scripts have something to say
 */
export async function installedTemplate(layout: Layout): Promise<Installed> {
  const [tree, rpm] = [await ordinaryTree(), await agentRpm()];
  const recipe = { layout, tree: basename(tree), rpm: digest(await readFile(rpm)), steps };
  const folder = await cached('installed', recipe, (unfinished) => install(layout, tree, rpm, unfinished));
  const bootFiles = await bootFilesIn(join(folder, 'boot'), join(tree, 'vmlinux'));
  const said = JSON.parse(await readFile(join(folder, 'said.json'), 'utf8')) as Pick<
    Installed,
    'steps' | 'seconds'
  >;
  return { layout, disks: await disksIn(folder), bootFiles, ...said };
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
    const said = Object.fromEntries(Object.keys(steps).map((name) => [name, boot.step(name)]));
    for (const [name, { exit, stderr }] of Object.entries(said)) {
      if (exit !== 0 || stderr !== '') throw new Error(`${name} ended with ${exit}: ${stderr}`);
    }
    if (boot.endedBy !== 'poweroff') throw new Error(`the installation ended by ${boot.endedBy}`);
    await guest.save(folder);
    await describeDisks(folder, template.disks.placements);
    await writeFile(join(folder, 'said.json'), JSON.stringify({ steps: said, seconds: boot.seconds }));
  });
}
