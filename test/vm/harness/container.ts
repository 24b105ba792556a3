import { copyFile, mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { execa } from 'execa';
import { agentTree } from './agent.ts';
import { withRunFolder } from './run-folder.ts';

/**
 * Boots the tree with the agent in a container, which has a systemd of its own on the kernel of this machine, and runs a
 * script in it as root. For tests of what systemd does with a unit, which need no disks: it takes two seconds.
 *
 * @param script lines of sh; files that they write to /out are returned
 * @param files copied to /out
 * @param treeOf returns the tree; by default that of the agent
 * @returns the content of the files in /out, by name; `log` is the output of the script
 * @throws Error with the output of the container, if the script was not run
 */
export async function runInContainer(
  script: string,
  files: readonly string[],
  treeOf: () => Promise<string> = agentTree,
): Promise<Record<string, string>> {
  const results: Record<string, string> = {};
  const tree = await treeOf();
  await withRunFolder(async (folder) => {
    const out = join(folder, 'out');
    await mkdir(out);
    for (const file of files) await copyFile(file, join(out, basename(file)));
    await writeFile(join(out, 'run.sh'), `#!/bin/sh\nexec >/out/log 2>&1\n${script}\n`, { mode: 0o755 });
    // systemd refuses cgroups of version 1, which this machine may have.
    const groups = 'umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup';
    const nspawn = [
      'systemd-nspawn',
      '-q',
      '--register=no',
      '--keep-unit',
      '--volatile=overlay',
      '--console=pipe',
    ];
    const words = [...nspawn, `--directory=${join(tree, 'root')}`, `--bind=${out}:/out`, '--boot'];
    const { all } = await execa(
      'unshare',
      ['--mount', '--propagation', 'private', 'sh', '-c', `${groups}; exec "$@"`, 'sh', ...words].concat(
        // One word, because earlier versions of systemd split the arguments at spaces.
        'systemd.run=/out/run.sh',
      ),
      { stdin: 'ignore', timeout: 180_000, reject: false, all: true },
    );
    const names = await readdir(out);
    if (!names.includes('log')) throw new Error(`the container did not run the script: ${all}`);
    for (const name of names) results[name] = await readFile(join(out, name), 'utf8');
  });
  return results;
}
