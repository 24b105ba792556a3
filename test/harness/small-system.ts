import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { type Ran } from './namespace.ts';
import { repository } from './repository.ts';

const setUp = path.join(import.meta.dirname, 'small-system.sh');

/**
 * Runs a script as root of a small system, of which nothing remains afterwards. The root is an XFS on a partition of
 * $system, a loop device that also has the partition $volume. The programs and devices are those of this machine; /home
 * and /etc are private. $disk is a second, empty disk.
 * `agent` starts the agent; small-system-inside.sh defines further functions. Requires root.
 * @param script POSIX sh, run with -e
 * @param sizeMiB size of $disk
 */
export function inSmallSystem(script: string, sizeMiB = 400, timeout = 120_000): Ran {
  const folder = mkdtempSync('/tmp/immutafs-system-');
  try {
    const isolated = ['--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child'];
    const args = [...isolated, 'sh', '-e', setUp, repository, folder, String(sizeMiB), script];
    const { status, stdout, stderr } = spawnSync('unshare', args, {
      encoding: 'utf8',
      timeout,
      killSignal: 'SIGKILL',
    });
    return { code: status, stdout, stderr };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
