import { type Config, requireConfig } from '../../config/config.ts';
import type { SystemReader } from '../../system/reader.ts';
import { splitKernelArguments } from '../../facts/boot/kernel-arguments.ts';
import { type Disk, findDisks } from '../../facts/disks/disks.ts';
import { type SystemDisks, findSystemDisks } from '../../assess/system-disks.ts';
import { type FstabEntry, describeFstab, readFstabText } from '../../facts/mounts/fstab.ts';
import { type MountTable, readMountTable } from '../../facts/mounts/mountinfo.ts';
import { describeImageFstab, imageArguments, imageMounts } from './image-snapshot.ts';
import { type Action, type Settings, noSettings } from './step.ts';

/**
 * The input of the planners: the state of the guest, read once for all steps, and the options of the command line. In an image,
 * the mounts and the disks are those that its /etc/fstab and its kernel command line name (image-snapshot.ts).
 */
export interface Snapshot {
  reader: SystemReader;
  settings: Settings;
  config: Config;
  mounts: MountTable;
  /** The disks under mounted file systems. */
  disks: Disk[];
  /** The disks that the host will make read-only: those under / and the other targets of REQUIRE_READONLY. */
  systemDisks: SystemDisks;
  /** /etc/fstab with the changes of the preceding steps. */
  fstab: PlannedFstab;
  /**
   * Whether the step `home` is skipped, so that /home stays on the system disk and its lines in fstab are changed, too.
   */
  homeIsSkipped: boolean;
}

interface PlannedFstab {
  /** One character per byte; null if there is no file. */
  text: string | null;
  lines: FstabEntry[];
  problems: { line: number; reason: string }[];
}

/**
 * Reads the state of the guest.
 * @throws SystemError if the mounts, the disks or fstab cannot be read
 * @throws UsageError if the configuration cannot be read
 */
export function readSnapshot(
  system: SystemReader,
  settings: Settings = noSettings,
  homeIsSkipped = false,
): Snapshot {
  const reader = withTablesReadOnce(system);
  const config = requireConfig(reader);
  const text = readFstabText(reader);
  const { mounts, disks } = readStorage(reader, config, text ?? '');
  return {
    reader,
    settings,
    config,
    mounts,
    disks,
    systemDisks: findSystemDisks({ config, mounts }, disks),
    fstab: { text, ...describeLines(reader, config, text ?? '') },
    homeIsSkipped,
  };
}

/** Returns a reader that reads the tables of the device-mapper devices at most once, because each read starts a process. */
function withTablesReadOnce(reader: SystemReader): SystemReader {
  // The reader of an image refuses them, and its properties cannot be copied without asking for what it refuses.
  if (reader.image !== undefined) return reader;
  let tables: ReadonlyMap<string, string> | undefined;
  return { ...reader, deviceTables: () => (tables ??= reader.deviceTables()) };
}

function readStorage(
  reader: SystemReader,
  config: Config,
  fstab: string,
): Pick<Snapshot, 'mounts' | 'disks'> {
  if (reader.image !== undefined) return imageMounts(reader, config, fstab);
  const mounts = readMountTable(reader);
  return { mounts, disks: findDisks(reader, mounts.all) };
}

function describeLines(
  reader: SystemReader,
  config: Config,
  text: string,
): { lines: FstabEntry[]; problems: PlannedFstab['problems'] } {
  return reader.image === undefined ? describeFstab(reader, text) : describeImageFstab(reader, config, text);
}

/** Returns the kernel arguments of this boot, or those of the kernels of an image. @throws SystemError */
export function readKernelArguments(reader: SystemReader): string[] {
  return reader.image === undefined
    ? splitKernelArguments(reader.read('/proc/cmdline', 65536))
    : imageArguments(reader);
}

/** Returns a snapshot in which the changes of these actions to /etc/fstab have been made. */
export function snapshotAfter(snapshot: Snapshot, actions: readonly Action[]): Snapshot {
  const last = actions.findLast((action) => action.do === 'edit' && action.file === '/etc/fstab');
  if (last?.do !== 'edit') return snapshot;
  const { reader, config } = snapshot;
  return { ...snapshot, fstab: { text: last.after, ...describeLines(reader, config, last.after) } };
}

/** Reads a file of at most 64 KiB, one character per byte. @returns undefined if there is no file */
export function textIfThere(reader: SystemReader, file: string): string | undefined {
  return reader.readIfPresent(file, 65536);
}
