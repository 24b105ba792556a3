import { ordinaryTree } from './ordinary-tree.ts';
import { treeWithPackages } from './packages.ts';

/** The plug-in folder of Debian's dnf, and that of RHEL 10, where the agent's package installs its plug-in. */
const [debianFolder, rhelFolder] = [
  '/usr/lib/python3/dist-packages/dnf-plugins',
  '/usr/lib/python3.12/site-packages/dnf-plugins',
];

/**
 * Returns a tree with Debian's dnf: 4.5 in a guest of RHEL 8, whose own is 4.7, and 4.14 in one of RHEL 9, as there.
 *
 * @param from the tree to which dnf is added
 */
export async function dnfTree(from = ordinaryTree()): Promise<string> {
  const finish = `mkdir -p ${debianFolder} && ln -s ${rhelFolder}/immutafs.py ${debianFolder}`;
  return treeWithPackages('dnf-tree', await from, ['dnf'], finish);
}
