import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
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
    const file = await makeSeed(folder, 'cidata', {
      'meta-data': 'instance-id: another\n',
      'user-data': userData,
    });
    await work({ serial: 'cidata', file, format: 'raw', readOnly: false, bus: 'virtio-blk' });
  });
}

/** Makes the image of a seed: a CD with files, by their name. @returns the path of the image, in the folder */
export async function makeSeed(folder: string, name: string, files: Record<string, string>): Promise<string> {
  const [content, image] = [join(folder, name), join(folder, `${name}.iso`)];
  for (const [each, text] of Object.entries(files)) {
    await mkdir(dirname(join(content, each)), { recursive: true });
    await writeFile(join(content, each), text);
  }
  await execa('xorriso', [
    ...['-as', 'mkisofs', '-quiet', '-volid', 'cidata', '-joliet', '-rock', '-output', image, content],
  ]);
  return image;
}
