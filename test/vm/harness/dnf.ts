import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { ordinaryTree } from './ordinary-tree.ts';
import { derivedTree } from './tree.ts';

/** The plug-in folder of Debian's dnf, and that of RHEL 10, where the agent's package installs its plug-in. */
const [debianFolder, rhelFolder] = [
  'usr/lib/python3/dist-packages/dnf-plugins',
  '/usr/lib/python3.12/site-packages/dnf-plugins',
];

/**
 * Returns a tree with Debian's dnf.
 *
 * @param from the tree to which dnf is added
 */
export async function dnfTree(from = ordinaryTree()): Promise<string> {
  const tree = await from;
  return derivedTree('dnf-tree', tree, { debianFolder, rhelFolder, install: String(installDnf) }, installDnf);
}

async function installDnf(root: string): Promise<void> {
  // mmdebstrap creates the device nodes and fails if they exist.
  await rm(join(root, 'dev'), { recursive: true });
  await mkdir(join(root, 'dev'));
  const existingRoot = ['--variant=custom', '--skip=check/empty,cleanup/reproducible'];
  const quick = ['--dpkgopt=force-unsafe-io', '--dpkgopt=path-exclude=/usr/share/doc/*'];
  await execa('mmdebstrap', ['--quiet', ...existingRoot, ...quick, '--include=dnf', 'trixie', root]);
  await mkdir(join(root, debianFolder));
  await execa('ln', ['-s', `${rhelFolder}/immutafs.py`, join(root, debianFolder)]);
}
