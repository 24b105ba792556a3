import { createReadStream } from 'node:fs';
import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { agentTree } from '../harness/agent.ts';
import type { Disks, Edit } from '../harness/disk.ts';
import { xfsOnLvm } from '../harness/layout.ts';
import { templateOf } from '../harness/template.ts';
import { type Hypervisor, setReadOnly, withHypervisor } from '../libvirt/hypervisor.ts';
import { withAnsible } from '../libvirt/playbooks.ts';
import type { Ansible } from '../libvirt/playbooks.ts';
import { defineGuest } from '../libvirt/virtual-guest.ts';
import type { VirtualGuest } from '../libvirt/virtual-guest.ts';

/** A guest with the agent, whose system disk is a sealed qcow2 file. The guest is shut off. */
export interface SnapshottedGuest {
  ansible: Ansible;
  host: Hypervisor;
  guest: VirtualGuest;
  disks: Disks;
  /** Variables of every playbook. */
  common: Record<string, unknown>;
}

/** @param options the tree of the guest, by default `agentTree`, and how its disks are changed before the first start */
export async function withSnapshottedGuest(
  work: (fixture: SnapshottedGuest) => Promise<void>,
  options: { tree?: Promise<string>; edit?: (folder: string) => Promise<Edit> } = {},
): Promise<void> {
  await withHypervisor(async (host) => {
    const template = await templateOf(xfsOnLvm, await (options.tree ?? agentTree()));
    const name = 'guest';
    const edit = (await options.edit?.(host.folder)) ?? (() => Promise.resolve());
    const guest = await defineGuest(host, { name, template, edit, memoryMiB: 1536, systemFormat: 'qcow2' });
    await setReadOnly(host, name, true);
    const common = {
      immutafs_rollback: true,
      immutafs_state_directory: join(host.folder, 'state'),
      immutafs_health_wait: 2,
      immutafs_initramfs_command: [],
    };
    await withAnsible(host, [guest], (ansible) =>
      work({ ansible, host, guest, disks: template.disks, common }),
    );
  });
}

export const imageOf = (guest: VirtualGuest) => join(guest.folder, 'system.qcow2');

/** Returns the SHA-256 of the content of the system disk. */
export async function contentOf(guest: VirtualGuest): Promise<string> {
  const raw = join(guest.folder, 'content.raw');
  await execa('qemu-img', ['convert', '-U', '-f', 'qcow2', '-O', 'raw', imageOf(guest), raw]);
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(raw)) hash.update(chunk as Buffer);
  await rm(raw);
  return hash.digest('hex');
}

/** Returns the number of internal snapshots of the system disk. */
export async function snapshotsOf(guest: VirtualGuest): Promise<number> {
  const { stdout } = await execa('qemu-img', ['info', '-U', '--output=json', imageOf(guest)]);
  return (JSON.parse(stdout) as { snapshots?: unknown[] }).snapshots?.length ?? 0;
}

/** Returns the commands of an update that runs one line of sh. */
export const sh = (text: string) => [['sh', '-c', text]];
