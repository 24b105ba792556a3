import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { agentTree } from './agent.ts';
import { treeWithPackages } from './packages.ts';
import type { Drive } from './qemu.ts';
import { withRunFolder } from './run-folder.ts';

/** Returns the agent's tree with Debian's cloud-init installed and enabled. */
export async function cloudInitTree(): Promise<string> {
  return treeWithPackages('cloud-init-tree', await agentTree(), ['cloud-init']);
}

/**
 * Calls `work` with a disk that contains only user data for cloud-init (data source NoCloud).
 * @param userData the text of `user-data`
 */
export async function withUserData(userData: string, work: (drive: Drive) => Promise<void>): Promise<void> {
  await withRunFolder(async (folder) => {
    const [content, file] = [join(folder, 'content'), join(folder, 'cidata.raw')];
    await mkdir(content);
    await writeFile(join(content, 'meta-data'), 'instance-id: another\n');
    await writeFile(join(content, 'user-data'), userData);
    await execa('xorriso', [
      ...['-as', 'mkisofs', '-quiet', '-volid', 'cidata', '-joliet', '-rock', '-output', file, content],
    ]);
    await work({ serial: 'cidata', file, format: 'raw', readOnly: false, bus: 'virtio-blk' });
  });
}
