import fs from 'node:fs';
import { errorCode, errorMessage } from '../../lib/errors.ts';
import { runSync } from '../exec.ts';
import { O_PATH } from '../foreign-directory.ts';
import { probeName } from './unnamed.ts';

/** makedev(1, 3): Documentation/admin-guide/devices.txt */
const nullDevice = 0x103;

/**
 * Creates a device node like /dev/null in a directory and opens it. Requires root. A device node must have a name, so this
 * process removes the node, even if the agent was killed.
 * @returns EACCES on a mount with nodev (mount(2)), OPENED if the node can be opened, else the error code
 */
export function tryDevice(directory: string): string {
  if (process.geteuid?.() !== 0) return 'EPERM';
  const node = probeName(directory);
  try {
    const made = runSync('/usr/bin/mknod', ['-m', '0600', node, 'c', '1', '3']);
    if (made.error !== undefined) return errorCode(made.error);
    if (made.exit !== 0) return 'mknod failed';
    return openNode(node);
  } catch (error) {
    return errorCode(error) || errorMessage(error);
  } finally {
    fs.rmSync(node, { force: true });
  }
}

/** Opens the node, unless the directory's owner has replaced it with another device, which must not be opened. */
function openNode(node: string): string {
  const named = fs.openSync(node, O_PATH | fs.constants.O_NOFOLLOW);
  try {
    const stat = fs.fstatSync(named);
    if (!stat.isCharacterDevice() || stat.rdev !== nullDevice) return 'another file took its place';
    fs.closeSync(fs.openSync(`/proc/self/fd/${named}`, fs.constants.O_RDONLY));
    return 'OPENED';
  } finally {
    fs.closeSync(named);
  }
}
