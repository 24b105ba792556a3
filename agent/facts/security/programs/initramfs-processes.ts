import { unlessSystemError } from '../../../lib/errors.ts';
import type { MappedFile } from '../../../system/mapped-files.ts';
import type { SystemReader } from '../../../system/reader.ts';
import type { BootEnv } from '../../boot/boot-env.ts';
import { deletedSuffix } from './layer-files.ts';
import { startTicks, ticksPerSecond } from './process-details.ts';

/** What the initramfs recorded just before the switch to the real root. */
export type InitramfsRecord = Pick<BootEnv, 'initramfs' | 'uptime'>;

/**
 * Returns a function that decides whether a file of a process came from the initramfs, as the programs of plymouthd and
 * of daemons for storage do. Switching to the real root deletes these files. The file must be on the file system of the
 * initramfs, and the process must have started before the initramfs recorded this, because root can create and execute
 * such a file later, by way of the root directory of a process of the initramfs. Nothing can change the start time.
 * @param record undefined if the initramfs recorded nothing; then no file is accepted
 */
export function initramfsTest(
  reader: SystemReader,
  record: InitramfsRecord | undefined,
): (pid: number, file: MappedFile) => boolean {
  const last = Math.round((record?.uptime ?? 0) * ticksPerSecond);
  const start = (pid: number) =>
    unlessSystemError(() => startTicks(reader.processes.read(pid, 'stat', 65536) ?? '')) ?? Infinity;
  return (pid, { path, device }) =>
    // PID 1 itself started in the initramfs and then executed the program of the sealed disk.
    pid !== 1 && device === record?.initramfs && path.endsWith(deletedSuffix) && start(pid) <= last;
}
