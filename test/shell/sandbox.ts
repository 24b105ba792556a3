import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { type DiskFixture, type StackFixture, makeSysfs } from '../harness/sysfs.ts';
import { inTemporaryDirectory, writeFiles } from '../harness/temporary.ts';
import { boot, dracut } from './shells.ts';

export interface Sandbox {
  /** The command that /bin/sh runs. */
  shell: readonly [string, ...string[]];
  /** Files of the sandbox by path below /. Files below /proc are mounted over the real files. */
  files?: Record<string, string | { linkTo: string }>;
  /** The devices in /sys. */
  devices?: readonly (DiskFixture | StackFixture)[];
  /** Scripts in addition to those of boot/ and dracut/. */
  scripts?: readonly string[];
  /** Lines of bash that run in the sandbox; the files that they leave in /out are the result. */
  run: string;
}

export interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
  /** Content of the files in /out by name. */
  out: Record<string, string>;
}

const prepare = path.join(import.meta.dirname, 'sandbox.sh');

/**
 * Runs lines of bash as root in a sandbox: in a mount and PID namespace, after chroot(2) to a tmpfs with this machine's
 * programs, the boot scripts at their installed path, and the fixtures in /proc and /sys. Mounts are real, and end with
 * the last process.
 */
export function runInSandbox({ shell, files = {}, devices = [], scripts = [], run }: Sandbox): Outcome {
  return inTemporaryDirectory((folder) => {
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
        ...fs.globSync(path.join(boot, '*')),
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
