import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { type Ran } from './namespace.ts';

const repository = path.join(import.meta.dirname, '../..');
const setUp = path.join(import.meta.dirname, 'small-system.sh');

/**
 * Runs a script as root of a small system of its own: its root is an XFS on a partition of $system (a loop
 * device) beside $volume, with programs and devices of this machine, /home and /etc of its own; $disk is another, empty
 * disk. Of all that nothing is left.
 * `agent` starts the agent; see small-system-inside.sh for more. Needs root.
 * @param script POSIX sh, with -e
 * @param sizeMiB of the other disk
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
