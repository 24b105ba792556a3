import { join } from 'node:path';
import { disksOf } from './disk.ts';
import type { Disks } from './disk.ts';
import { bootFilesIn } from './kernel.ts';
import type { BootFiles } from './kernel.ts';
import type { Layout } from './layout.ts';

/** The files from which guests are created. They are never changed. */
export interface Template {
  layout: Layout;
  disks: Disks;
  bootFiles: BootFiles;
}

/** @param tree the folder of a tree; see `ordinaryTree` */
export async function templateOf(layout: Layout, tree: string): Promise<Template> {
  const bootFiles = await bootFilesIn(join(tree, 'root/boot'), join(tree, 'vmlinux'));
  return { layout, disks: await disksOf(layout, tree), bootFiles };
}
