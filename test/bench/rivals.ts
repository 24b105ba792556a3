import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { cached, digest } from '../vm/harness/cache.ts';
import { type BootFiles, bootFilesIn } from '../vm/harness/kernel.ts';
import { mountTree, withMounts } from '../vm/harness/mounts.ts';
import { ordinaryTree } from '../vm/harness/ordinary-tree.ts';

type Files = Record<string, Uint8Array | string>;

/**
 * Returns the boot files of an ordinary guest whose initramfs is created with additional lines in dracut.conf(5).
 * dracut's own overlayfs module is not omitted.
 *
 * @param lines the lines to append to the guest's own dracut.conf
 * @param files additional executable files, by path in the initramfs
 */
export async function bootFilesWith(lines: string, files: Files = {}): Promise<BootFiles> {
  const tree = await ordinaryTree();
  const own = await readFile(join(tree, 'root/etc/dracut.conf.d/vmtest.conf'), 'utf8');
  const conf = `${own.replace(' overlayfs overlay-root ', ' overlay-root ')}${lines}\n`;
  const contents = Object.entries(files).map(([path, content]) => [path, digest(content)]);
  const recipe = { tree: basename(tree), conf, contents, make: String(make) };
  const folder = await cached('rival', recipe, (unfinished) => make(tree, conf, files, unfinished));
  return bootFilesIn(folder, join(tree, 'vmlinux'));
}

async function make(tree: string, conf: string, files: Files, folder: string): Promise<void> {
  await withMounts(async (mounts) => {
    await mountTree(mounts, join(tree, 'root'));
    const run = (name: string): string => join(mounts.root, 'run', name);
    await writeFile(run('dracut.conf'), conf);
    await mkdir(run('none'));
    for (const [path, content] of Object.entries(files)) {
      await mkdir(dirname(run(`more/${path}`)), { recursive: true });
      await writeFile(run(`more/${path}`), content, { mode: 0o755 });
    }
    const [kernel = ''] = (await mounts.chroot('ls', '/usr/lib/modules')).split('\n');
    const words = ['--conf', '/run/dracut.conf', '--confdir', '/run/none', '--tmpdir', '/run'];
    const more = Object.keys(files).length > 0 ? ['--include', '/run/more', '/'] : [];
    await mounts.chroot('dracut', '--quiet', ...words, ...more, '/run/initramfs', kernel);
    await cp(run('initramfs'), join(folder, 'initramfs-rival'));
  });
}
