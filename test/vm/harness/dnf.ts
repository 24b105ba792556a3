import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { derivedTree, ordinaryTree } from './tree.ts';

/** Where Debian's dnf looks for plug-ins, and where the agent's package has its own for RHEL 10. */
const [looks, has] = [
  'usr/lib/python3/dist-packages/dnf-plugins',
  '/usr/lib/python3.12/site-packages/dnf-plugins',
];

/** The ordinary tree with dnf, which Debian has too. */
export async function dnfTree(): Promise<string> {
  const tree = await ordinaryTree();
  return derivedTree('dnf-tree', tree, { looks, has, install: String(installDnf) }, installDnf);
}

async function installDnf(root: string): Promise<void> {
  // mmdebstrap makes the devices, and does not want to find them.
  await rm(join(root, 'dev'), { recursive: true });
  await mkdir(join(root, 'dev'));
  const there = ['--variant=custom', '--skip=check/empty,cleanup/reproducible'];
  const quick = ['--dpkgopt=force-unsafe-io', '--dpkgopt=path-exclude=/usr/share/doc/*'];
  await execa('mmdebstrap', ['--quiet', ...there, ...quick, '--include=dnf', 'trixie', root]);
  await mkdir(join(root, looks));
  await execa('ln', ['-s', `${has}/immutafs.py`, join(root, looks)]);
}
