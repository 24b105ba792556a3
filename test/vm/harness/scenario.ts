import { agentTree } from './agent.ts';
import { withGuest } from './guest.ts';
import type { Boot, Guest, GuestOptions } from './guest.ts';
import { xfsOnLvm } from './layout.ts';
import type { Layout } from './layout.ts';
import { ordinaryTree } from './tree.ts';

export * from './expect.ts';
export * from './layout.ts';
export { editFile } from './edit.ts';
export type { Boot, Guest };

type Options = Partial<Pick<GuestOptions, 'edit'>> & { layout?: Layout };

/** A guest with the agent, its disks laid out as RHEL's installer does it where the scenario does not say. */
export async function withAgent(options: Options, work: (guest: Guest) => Promise<void>): Promise<void> {
  await withGuest({ layout: xfsOnLvm, ...options, tree: await agentTree() }, work);
}

/** The same guest without the agent. */
export async function withoutAgent(options: Options, work: (guest: Guest) => Promise<void>): Promise<void> {
  await withGuest({ layout: xfsOnLvm, ...options, tree: await ordinaryTree() }, work);
}

/** What nearly every scenario asks of a guest: the agent's report and systemd's list of failed units. */
export const look = {
  status: 'immutafs-agent status --json',
  failed: 'systemctl list-units --failed --plain --no-legend',
};
