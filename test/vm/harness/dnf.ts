import { ordinaryTree } from './ordinary-tree.ts';
import { treeWithPackages } from './packages.ts';

/** The plug-in folder of Debian's dnf, and that of RHEL 10, where the agent's package installs its plug-in. */
const [debianFolder, rhelFolder] = [
  '/usr/lib/python3/dist-packages/dnf-plugins',
  '/usr/lib/python3.12/site-packages/dnf-plugins',
];

/**
 * Returns a tree with Debian's dnf. In a guest of RHEL 8, it is version 4.5, although RHEL 8 has 4.7; in one of RHEL 9, it is 4.14,
 * which RHEL 9 has, too.
 *
 * @param from the tree to which dnf is added
 */
export async function dnfTree(from = ordinaryTree()): Promise<string> {
  const finish = `mkdir -p ${debianFolder} && ln -s ${rhelFolder}/immutafs.py ${debianFolder}`;
  return treeWithPackages('dnf-tree', await from, ['dnf'], finish);
}
