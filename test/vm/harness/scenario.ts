import { agentTree } from './agent.ts';
import { withGuest } from './guest.ts';
import type { Boot, Guest, GuestOptions } from './guest.ts';
import { installedTemplate } from './installed.ts';
import type { Installed } from './installed.ts';
import { xfsOnLvm } from './layout.ts';
import type { Layout } from './layout.ts';
import { templateOf } from './template.ts';
import { ordinaryTree } from './ordinary-tree.ts';

export * from './expect.ts';
export * from './layout.ts';
export { configure, editFile, makeWritable } from './edit.ts';
export type { Boot, Guest };

/** Options of a scenario's guest. The default layout is that of RHEL's installer. */
interface Options extends Pick<GuestOptions, 'edit' | 'damage'> {
  layout?: Layout;
}

/**
 * Calls `work` with a guest with the agent. The package is installed in the tree from which the disk is built.
 *
 * @param options.tree the tree, if it is not the usual one
 */
export async function withAgent<T>(
  options: Options & { tree?: string },
  work: (guest: Guest) => Promise<T>,
): Promise<T> {
  const { layout = xfsOnLvm, tree, ...changes } = options;
  const template = await templateOf(layout, tree ?? (await agentTree(layout.release)));
  return withGuest({ template, ...changes }, work);
}

/** Calls `work` with the same guest without the agent. */
export async function withoutAgent<T>(options: Options, work: (guest: Guest) => Promise<T>): Promise<T> {
  const { layout = xfsOnLvm, ...changes } = options;
  const template = await templateOf(layout, await ordinaryTree(layout.release));
  return withGuest({ template, ...changes }, work);
}

/** Calls `work` with a guest in which the package was installed while the guest was running. */
export async function withInstalledAgent(
  options: Options,
  work: (guest: Guest, installed: Installed) => Promise<void>,
): Promise<void> {
  const { layout = xfsOnLvm, ...changes } = options;
  const template = await installedTemplate(layout);
  await withGuest({ template, ...changes }, (guest) => work(guest, template));
}

/** Kernel arguments of a guest with SELinux in enforcing mode. */
export const enforcing = ['security=selinux', 'selinux=1', 'enforcing=1'];

/** Steps of nearly every scenario: the agent's report and systemd's list of failed units. */
export const look = {
  status: 'immutafs-agent status --json',
  failed: 'systemctl list-units --failed --plain --no-legend',
};
