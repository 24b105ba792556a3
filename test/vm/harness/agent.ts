import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { buildRpm } from '../../../packaging/rpm.ts';
import { digest, workFolder } from './cache.ts';
import { withLock } from './lock.ts';
import { mountTree, withMounts } from './mounts.ts';
import { type Release, usualRelease } from './release.ts';
import { ordinaryTree } from './ordinary-tree.ts';
import { derivedTree } from './tree.ts';

/** Builds the package from the current sources. @returns the path of the rpm */
export async function agentRpm(): Promise<string> {
  return withLock(join(workFolder, 'rpm.lock'), buildRpm);
}

/**
 * Returns the ordinary tree of a release with the agent's package installed. The package's scriptlets have rebuilt the
 * initramfs.
 */
export async function agentTree(release: Release = usualRelease): Promise<string> {
  const [tree, rpm] = [await ordinaryTree(release), await agentRpm()];
  const content = digest(await readFile(rpm));
  return derivedTree('agent-tree', tree, { rpm: content, install: String(installRpm) }, (root) =>
    installRpm(root, rpm),
  );
}

/** Installs the package in a tree. @throws if the installation or the verification of the package fails */
export async function installRpm(root: string, rpm: string): Promise<void> {
  await withMounts(async (mounts) => {
    await mountTree(mounts, root);
    await execa('cp', [rpm, join(mounts.root, 'run/agent.rpm')]);
    await mounts.chroot('rpm', '--install', '--nodeps', '/run/agent.rpm');
    await mounts.chroot('rpm', '--verify', '--nodeps', 'immutafs-agent');
  });
}
