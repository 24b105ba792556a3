import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { agentTree } from './agent.ts';
import { mountTree, withMounts } from './mounts.ts';
import type { Drive } from './qemu.ts';
import { withRunFolder } from './run-folder.ts';
import { derivedTree } from './tree.ts';

/** Returns the agent's tree with Debian's cloud-init installed and enabled. */
export async function cloudInitTree(): Promise<string> {
  return derivedTree('cloud-init-tree', await agentTree(), String(installCloudInit), installCloudInit);
}

/** Installs cloud-init. The tree has no apt, so the apt of this machine resolves and downloads the missing packages. */
async function installCloudInit(root: string): Promise<void> {
  await withRunFolder(async (folder) => {
    await mkdir(join(folder, 'partial'));
    const options = [`Dir::State::status=${root}/var/lib/dpkg/status`, `Dir::Cache::archives=${folder}`];
    await execa('apt-get', [
      ...options.flatMap((option) => ['-o', option]),
      ...['install', '--yes', '--quiet=2', '--no-install-recommends', '--download-only', 'cloud-init'],
    ]);
    const packages = (await readdir(folder)).filter((name) => name.endsWith('.deb'));
    await withMounts(async (mounts) => {
      await mountTree(mounts, root);
      await execa('cp', ['--recursive', folder, join(mounts.root, 'run/debs')]);
      const files = packages.map((name) => `/run/debs/${name}`);
      await mounts.chroot('env', 'DEBIAN_FRONTEND=noninteractive', 'dpkg', '--install', ...files);
    });
  });
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
