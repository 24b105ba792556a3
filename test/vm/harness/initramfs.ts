import { appendFile, copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { inRoot } from '../../../packaging/build/paths.ts';
import { agentTree } from './agent.ts';
import { bootFilesIn } from './kernel.ts';
import type { BootFiles } from './kernel.ts';
import { withRunFolder } from './run-folder.ts';

/**
 * Calls `work` with boot files whose initramfs has some files replaced.
 * The kernel unpacks concatenated cpio archives in order, so files of the second archive replace files of the first
 * (Documentation/driver-api/early-userspace/buffer-format.rst).
 *
 * @param files by path in the initramfs: the text of an executable file, or the path of a file in the tree
 * @param treeOf returns the tree whose initramfs is used; by default that of the agent
 */
export async function withInitramfs<T>(
  files: Record<string, string | { copyOf: string }>,
  work: (boot: BootFiles) => Promise<T>,
  treeOf: () => Promise<string> = agentTree,
): Promise<T> {
  const tree = await treeOf();
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

/** Returns immutafs-root.service with a line of sh in place of immutafs-boot. */
export async function mountRootBy(line: string): Promise<string> {
  const unit = await readFile(inRoot('dracut/95immutafs/immutafs-root.service'), 'utf8');
  return unit.replace(/^ExecStart=.*$/m, `ExecStart=-/bin/sh -c '${line}'`);
}

const program = 'usr/libexec/immutafs/immutafs-boot';

/** Returns files of an initramfs in which a program runs lines of sh before `immutafs-boot initramfs`, and else immutafs-boot. */
export function beforeTheBoot(lines: string): Record<string, string | { copyOf: string }> {
  return {
    [program]: `#!/bin/sh\nif [ "$1" = initramfs ]; then\n${lines}\nfi\nexec "$0.original" "$@"\n`,
    [`${program}.original`]: { copyOf: program },
  };
}

/** Lines after which the program ends without having done anything, and the boot continues. */
export const killedAndDegraded =
  'mkdir -p /run/immutafs; echo degraded >/run/immutafs/on-failure; kill -KILL $$';
