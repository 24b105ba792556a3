import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { errorCode, errorMessage } from '../errors.ts';
import { probeName } from './unnamed.ts';

/**
 * Opens a node of /dev/null in a folder. Needs root. A node cannot be without a name; this process lives on
 * when the agent is killed, and removes it.
 * @returns EACCES where it is mounted nodev (mount(2)), OPENED where it can be used, else errno's name
 */
export function tryDevice(folder: string): string {
  if (process.geteuid?.() !== 0) return 'EPERM';
  const node = probeName(folder);
  try {
    const made = spawnSync('/usr/bin/mknod', ['-m', '0600', node, 'c', '1', '3'], { stdio: 'ignore' });
    if (made.error !== undefined) return errorCode(made.error);
    if (made.status !== 0) return 'mknod failed';
    fs.closeSync(fs.openSync(node, fs.constants.O_RDONLY));
    return 'OPENED';
  } catch (error) {
    return errorCode(error) || errorMessage(error);
  } finally {
    fs.rmSync(node, { force: true });
  }
}
