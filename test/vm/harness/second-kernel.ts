import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { extractKernel } from './kernel.ts';
import type { BootFiles } from './kernel.ts';
import { mountTree, withMounts } from './mounts.ts';
import { treeWithPackages } from './packages.ts';
import { ordinaryTree } from './ordinary-tree.ts';
import { derivedTree, lightenModules } from './tree.ts';

/** A tree without the agent in which two kernels are installed. */
export interface TwoKernels {
  tree: string;
  /** The versions, as `uname -r` prints them. The first is the kernel of `ordinaryTree`. */
  versions: [string, string];
}

/** Installs an older kernel of Debian beside that of the ordinary tree. Each has an initramfs of its own. */
export async function treeWithTwoKernels(): Promise<TwoKernels> {
  const ordinary = await ordinaryTree();
  const [first = ''] = await readdir(join(ordinary, 'root/lib/modules'));
  const second = await olderKernel(first);
  const unfinished = await treeWithPackages('two-kernels', ordinary, [`linux-image-${second}`]);
  const recipe = { second, finish: String(finish) };
  const tree = await derivedTree('two-kernels-ready', unfinished, recipe, (root) => finish(root, second));
  return { tree, versions: [first, second] };
}

/** Replaces the initramfs that the package has made from compressed modules, which a guest needs long to load. */
async function finish(root: string, version: string): Promise<void> {
  await lightenModules(join(root, 'lib/modules', version));
  await withMounts(async (mounts) => {
    await mountTree(mounts, root);
    await mounts.chroot('depmod', version);
    await mounts.chroot('dracut', '--quiet', '--force', '--kver', version);
  });
}

/** Returns the version of the newest kernel for virtual machines in Debian's archive that is not `present`. */
async function olderKernel(present: string): Promise<string> {
  const pattern = '^linux-image-[0-9][^ ]*-cloud-amd64$';
  const { stdout } = await execa('apt-cache', ['search', '--names-only', pattern]);
  const versions = stdout.split('\n').flatMap((line) => /^linux-image-(\S+) /.exec(line)?.[1] ?? []);
  const isOlder = (version: string) => compare(version, present) < 0;
  const version = versions.filter(isOlder).toSorted(compare).at(-1);
  if (version === undefined) throw new Error(`no kernel older than ${present}: ${versions.join(' ')}`);
  return version;
}

const compare = (a: string, b: string) => a.localeCompare(b, 'en', { numeric: true });

/** Returns the name of the initramfs of a kernel in /boot. */
export const imageOf = (version: string) => `initrd.img-${version}`;

/** Returns boot files with a kernel of the tree, extracted into a folder, and an initramfs. */
export async function bootFilesOf(
  { tree }: TwoKernels,
  version: string,
  initramfs: string,
  folder: string,
): Promise<BootFiles> {
  const kernel = join(folder, `vmlinux-${version}`);
  await extractKernel(join(tree, 'root/boot', `vmlinuz-${version}`), kernel);
  return { kernel, initramfs };
}
