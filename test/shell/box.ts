import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { type DiskFixture, type StackFixture, makeSysfs } from '../harness/sysfs.ts';
import { inTemporaryFolder, writeFiles } from '../harness/temporary.ts';
import { dracut } from './shells.ts';

export interface Box {
  /** What /bin/sh is. */
  shell: readonly [string, ...string[]];
  /** Files of the box by path, below /; /proc/cmdline and such are put over the real ones. */
  files?: Record<string, string | { linkTo: string }>;
  /** What /sys shows. */
  devices?: readonly (DiskFixture | StackFixture)[];
  /** More scripts beside those of dracut/. */
  scripts?: readonly string[];
  /** Lines of bash that run in the box; what they leave in /out is the answer. */
  run: string;
}

export interface Answer {
  code: number | null;
  stdout: string;
  stderr: string;
  /** The files of /out by name. */
  out: Record<string, string>;
}

const prepare = path.join(import.meta.dirname, 'box.sh');

/**
 * Runs lines of bash as root of a small system of its own: a mount namespace, chroot(2) into a tmpfs with this
 * machine's programs, the boot scripts at their place, and the fixtures in /proc and /sys. Mounts are real;
 * nothing of them is left when the last process has ended.
 */
export function runInBox({ shell, files = {}, devices = [], scripts = [], run }: Box): Answer {
  return inTemporaryFolder((folder) => {
    const tree = path.join(folder, 'files');
    const out = path.join(folder, 'out');
    fs.mkdirSync(tree);
    fs.mkdirSync(out);
    makeSysfs(tree, devices);
    writeFiles(tree, { 'proc/cmdline': 'ro quiet\n', ...files });
    fs.writeFileSync(path.join(folder, 'run'), run);
    const { status, stdout, stderr } = spawnSync(
      'unshare',
      [
        '--mount',
        '--pid',
        '--fork',
        '--kill-child',
        '--propagation',
        'private',
        'sh',
        '-eu',
        prepare,
        folder,
        dracut,
        ...scripts,
      ],
      {
        encoding: 'latin1',
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C', sh: shell.join(' ') },
        timeout: 60_000,
      },
    );
    const read = (name: string) => fs.readFileSync(path.join(out, name), 'latin1');
    return {
      code: status,
      stdout,
      stderr,
      out: Object.fromEntries(fs.readdirSync(out).map((name) => [name, read(name)])),
    };
  });
}
