import { unlessHostError } from '../../../lib/errors.ts';
import type { MappedFile } from '../../../system/mapped-files.ts';
import type { SystemReader } from '../../../system/reader.ts';
import type { MountTable } from '../../mounts/mountinfo.ts';
import { deletedSuffix } from './layer-files.ts';
import { isMemfd } from './origin.ts';
import { startTicks } from './process-details.ts';

/**
 * Returns a function that decides whether a file of a process came from the initramfs, as the programs of plymouthd and
 * of daemons for storage do. Switching to the real root deletes these files. A process is accepted only if it started
 * before every other program of the sealed disk, because root could create such a file later in the file system of the
 * initramfs.
 * @param later the processes that run only files of the sealed disk
 */
export function initramfsTest(
  reader: SystemReader,
  mounts: MountTable,
  later: readonly number[],
): (pid: number, file: MappedFile) => boolean {
  let first: number | undefined;
  const start = (pid: number) =>
    unlessHostError(() => startTicks(reader.processes.read(pid, 'stat', 65536) ?? '')) ?? Infinity;
  return (pid, file) => {
    if (pid === 1 || !isOfInitramfs(file, mounts)) return false;
    // PID 1 itself started in the initramfs and then executed the program of the sealed disk.
    first ??= Math.min(...later.filter((each) => each !== 1).map(start));
    return start(pid) < first;
  };
}

/** Whether a file can be of the initramfs: deleted, and on a file system that no path leads to. */
function isOfInitramfs({ path, device }: MappedFile, mounts: MountTable): boolean {
  if (!path.endsWith(deletedSuffix) || isMemfd(path) || !device.startsWith('0:')) return false;
  return mounts.all.every((mount) => mount.device !== device || mount.type === 'rootfs');
}
