import { readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { execa } from 'execa';
import { cached } from '../vm/harness/cache.ts';
import { type BootFiles, bootFilesIn } from '../vm/harness/kernel.ts';
import { mountTree, withMounts } from '../vm/harness/mounts.ts';
import { ordinaryTree } from '../vm/harness/tree.ts';

/**
 * The boot files of an ordinary guest whose initramfs is made with more in dracut.conf(5), and with dracut's own
 * overlayfs module among those to choose from.
 *
 * @param lines of dracut.conf, after the guest's own
 */
export async function bootFilesWith(lines: string): Promise<BootFiles> {
  const tree = await ordinaryTree();
  const own = await readFile(join(tree, 'root/etc/dracut.conf.d/vmtest.conf'), 'utf8');
  const conf = `${own.replace(' overlayfs overlay-root ', ' overlay-root ')}${lines}\n`;
  const folder = await cached('rival', { tree: basename(tree), conf, make: String(make) }, (unfinished) =>
    make(tree, conf, unfinished),
  );
  return bootFilesIn(folder, join(tree, 'vmlinux'));
}

async function make(tree: string, conf: string, folder: string): Promise<void> {
  await withMounts(async (mounts) => {
    await mountTree(mounts, join(tree, 'root'));
    const run = (name: string): string => join(mounts.root, 'run', name);
    await writeFile(run('dracut.conf'), conf);
    await execa('mkdir', [run('none')]);
    const [kernel = ''] = (await mounts.chroot('ls', '/usr/lib/modules')).split('\n');
    const files = ['--conf', '/run/dracut.conf', '--confdir', '/run/none', '--tmpdir', '/run'];
    await mounts.chroot('dracut', '--quiet', ...files, '/run/initramfs', kernel);
    await execa('cp', [run('initramfs'), join(folder, 'initramfs-rival')]);
  });
}
