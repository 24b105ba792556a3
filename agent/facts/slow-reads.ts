import { SystemError } from '../lib/errors.ts';
import type { SystemReader } from '../system/reader.ts';
import type { LastReport } from './last-report.ts';
import { type Observed, observe, unwrap } from './observed.ts';

/**
 * Returns a reader that caches the kernel log, which has thousands of records and is read for each read-only SCSI disk,
 * and the tables of the device-mapper devices, for which a child process is started.
 */
export function withSlowReadOnce(reader: SystemReader): SystemReader {
  let log: Observed<string[]> | undefined;
  let tables: Observed<ReadonlyMap<string, string>> | undefined;
  return {
    ...reader,
    kernelLog: () => unwrap((log ??= observe(() => reader.kernelLog()))),
    deviceTables: () => unwrap((tables ??= observe(() => reader.deviceTables()))),
  };
}

/**
 * Returns a reader for a user who may not read the tables of device-mapper devices. The last report of this boot, which
 * root wrote, lists a device as a disk if its content may differ from that of the disks below it.
 */
export function withTablesOfReport(
  reader: SystemReader,
  lastReport: Observed<LastReport | undefined>,
): SystemReader {
  return {
    ...reader,
    deviceTables: () => {
      const disks = unwrap(lastReport)?.disks;
      if (disks === undefined)
        throw new SystemError(
          'only root can read the tables of device-mapper devices, and there is no report of this boot',
        );
      const names = reader.list('/sys/class/block').filter((name) => name.startsWith('dm-'));
      return new Map(
        names.map((name) => [
          reader.read(`/sys/class/block/${name}/dev`).trim(),
          disks.has(name) ? 'that the last report names' : '',
        ]),
      );
    },
  };
}
