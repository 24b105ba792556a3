import { appendFile, copyFile, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { agentTree } from './agent.ts';
import { bootFilesIn } from './kernel.ts';
import type { BootFiles } from './kernel.ts';
import { withRunFolder } from './run-folder.ts';
import { ordinaryTree } from './tree.ts';

/**
 * Calls `work` with the boot files of guests with the agent, in whose initramfs some files are others.
 * The kernel unpacks one cpio archive after the other, so a second one replaces what the first has
 * (Documentation/driver-api/early-userspace/buffer-format.rst).
 *
 * @param files by path in the initramfs, text or the path of a file of the guest; executable
 * @param agent false: of guests without the agent
 */
export async function withInitramfs<T>(
  files: Record<string, string | { copyOf: string }>,
  work: (boot: BootFiles) => Promise<T>,
  agent = true,
): Promise<T> {
  const tree = await (agent ? agentTree() : ordinaryTree());
  const original = await bootFilesIn(join(tree, 'root/boot'), join(tree, 'vmlinux'));
  return withRunFolder(async (folder) => {
    const root = join(folder, 'files');
    for (const [path, content] of Object.entries(files)) {
      await mkdir(join(root, dirname(path)), { recursive: true });
      if (typeof content === 'string') await writeFile(join(root, path), content, { mode: 0o755 });
      else await copyFile(join(tree, 'root', content.copyOf), join(root, path));
    }
    const initramfs = join(folder, 'initramfs');
    await copyFile(original.initramfs, initramfs);
    const names = Object.keys(files).flatMap((path) =>
      path.split('/').map((_, i, all) => all.slice(0, i + 1).join('/')),
    );
    const input = [...new Set(names)].join('\n');
    const { stdout } = await execa('cpio', ['-o', '-H', 'newc', '--quiet'], {
      cwd: root,
      input,
      encoding: 'buffer',
    });
    await appendFile(initramfs, stdout);
    return work({ ...original, initramfs });
  });
}
