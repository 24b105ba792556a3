import { formatLine, forwardProblems, readConfig } from '../config/config.ts';
import { readImage } from '../config/image.ts';
import { SystemError, errorMessage } from '../lib/errors.ts';
import { decodeBytes } from '../lib/format.ts';
import type { SystemReader } from '../system/reader.ts';
import { readBootEnv } from './boot/boot-env.ts';
import { findFirmware } from './boot/firmware.ts';
import { parseKernelArgument, splitKernelArguments } from './boot/kernel-arguments.ts';
import { findBlockDevices, partitionsOf } from './disks/block-devices.ts';
import { findDisks } from './disks/disks.ts';
import { readIdentity } from './identity.ts';
import { type LastReport, readLastReport } from './records.ts';
import { hangSafe } from './mounts/hang-safe.ts';
import { type MountTable, readMountTable, unreadableTable } from './mounts/mountinfo.ts';
import { type Observed, observe, unwrap, valueOf } from './observed.ts';

/** The facts with which the others are read, and the reader for one evaluation (guestReader). */
export type Guest = ReturnType<typeof readGuest>;

/** Reads the mounts, the configuration and the records of this boot. */
export function readGuest(system: SystemReader) {
  const mounts = readMounts(system);
  const safe = valueOf(observe(() => hangSafe(system, mounts))) ?? system;
  const identity = readIdentity(safe);
  const lastReport = observe(() => readLastReport(safe, identity.bootId));
  const reader = guestReader(safe, identity.root, lastReport);
  const { config, problems } = readConfig(reader);
  const cmdline = valueOf(observe(() => decodeBytes(reader.read('/proc/cmdline')))) ?? '';
  const argument = parseKernelArgument(cmdline);
  return {
    ...{ reader, identity, config, mounts },
    /** The last report that `check` wrote in this boot; undefined if there is none. */
    lastReport,
    /** Messages about lines of the configuration and about `immutafs=` on the kernel command line. */
    configProblems: [...problems.map(formatLine), ...argument.problems],
    /** The subset of configProblems that prevents the forwarder from starting. */
    forwardProblems: forwardProblems(problems).map(formatLine),
    /** The image from which this guest was started, and what is wrong with the file that names it. */
    image: readImage(reader),
    /** The arguments on the kernel command line. */
    kernelArgument: splitKernelArguments(cmdline),
    /** The value of `immutafs=` on the kernel command line, otherwise MODE. */
    requestedMode: argument.mode ?? config.MODE,
    /** undefined if boot.env does not exist. */
    bootEnv: observe(() => readBootEnv(reader)),
  };
}

/** Reads the disks, mounted or not, and what the firmware starts from them. */
export function readDisks({ reader, mounts, lastReport }: Guest) {
  const lastEvidence = (name: string) => valueOf(lastReport)?.disks.get(name);
  const disks = observe(() => findDisks(reader, mounts.all, lastEvidence));
  const known = new Map(valueOf(disks)?.map((disk) => [disk.name, disk]));
  const blockDevices = observe(() => findBlockDevices(reader, known, lastEvidence));
  const partitions = observe(() => partitionsOf(unwrap(blockDevices)));
  const firmware = observe(() => findFirmware(reader, mounts, unwrap(partitions)));
  return {
    /** The disks below mounted file systems. */
    disks,
    /** All block devices, mounted or not. */
    blockDevices,
    /** The partitions of all disks, mounted or not. */
    partitions,
    /** undefined if a BIOS started this guest. */
    firmware,
  };
}

/** If the mounts cannot be read, the table throws the error on each access, and the other facts can still be read. */
function readMounts(reader: SystemReader): MountTable {
  try {
    return readMountTable(reader);
  } catch (error) {
    return unreadableTable(
      new SystemError(`/proc/self/mountinfo: ${errorMessage(error).replace(/^\/\S+: /, '')}`),
    );
  }
}

/**
 * Returns a reader that reads the kernel log, which has thousands of records, and the tables of the device-mapper devices,
 * for which a child process is started, at most once. Only root may read the tables; for other users, the last report of
 * this boot, which root wrote, lists a device as a disk if its content may differ from that of the disks below it.
 */
function guestReader(
  reader: SystemReader,
  isRoot: boolean,
  lastReport: Observed<LastReport | undefined>,
): SystemReader {
  let log: Observed<string[]> | undefined;
  let tables: Observed<ReadonlyMap<string, string>> | undefined;
  const read = () => (isRoot ? reader.deviceTables() : tablesOfReport(reader, unwrap(lastReport)));
  return {
    ...reader,
    kernelLog: () => unwrap((log ??= observe(() => reader.kernelLog()))),
    deviceTables: () => unwrap((tables ??= observe(read))),
  };
}

function tablesOfReport(reader: SystemReader, report: LastReport | undefined): ReadonlyMap<string, string> {
  if (report === undefined)
    throw new SystemError(
      'only root can read the tables of device-mapper devices, and there is no report of this boot',
    );
  const names = reader.list('/sys/class/block').filter((name) => name.startsWith('dm-'));
  return new Map(
    names.map((name) => [
      reader.read(`/sys/class/block/${name}/dev`).trim(),
      report.disks.has(name) ? 'that the last report names' : '',
    ]),
  );
}
