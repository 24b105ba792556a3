import { type Config, requireConfig } from '../../config/config.ts';
import { cached, once } from '../../lib/cached.ts';
import { unlessRefused } from '../../system/image.ts';
import type { SystemReader } from '../../system/reader.ts';
import { splitKernelArguments } from '../../facts/boot/kernel-arguments.ts';
import { type Disk, findDisks } from '../../facts/disks/disks.ts';
import { type PermittedMounts, permittedMounts } from '../../assess/permitted-mounts.ts';
import { type SystemDisks, findRequiredDisks, findSystemDisks } from '../../assess/system-disks.ts';
import { mountsOfPrograms } from '../../assess/undeclared-mounts.ts';
import { findScratchDevice } from '../../facts/boot/scratch.ts';
import { decodeBytes } from '../../lib/format.ts';
import { mayHang } from '../../facts/mounts/hang-safe.ts';
import { readMountUnits } from '../../facts/mounts/mount-units.ts';
import { observe } from '../../facts/observed.ts';
import { describeFstab, readFstabText } from '../../facts/mounts/fstab.ts';
import { type MountTable, readMountTable } from '../../facts/mounts/mountinfo.ts';
import { type LayerFiles, findLayerFiles } from './layer-files.ts';
import { describeImageFstab, imageArguments, imageMounts } from './image-snapshot.ts';
import {
  type OpenFile,
  type OpenPath,
  type ProcessList,
  listProcesses,
  openFilesIn,
  readOpenPaths,
} from './processes.ts';
import { type Action, type Settings, noSettings } from './step.ts';

/**
 * The input of the planners: the state of the guest, read once for all steps, and the options of the command line. In
 * an image, the mounts and the disks are those that its /etc/fstab and its kernel command line name
 * (image-snapshot.ts).
 */
export interface Snapshot {
  reader: SystemReader;
  settings: Settings;
  config: Config;
  mounts: MountTable;
  /** The disks under mounted file systems. */
  disks: Disk[];
  /**
   * The disks that the host will make read-only: those under /, the other targets of REQUIRE_READONLY and the mounts in
   * directories with the programs of the system.
   */
  systemDisks: SystemDisks;
  /** The table of the mounts that may exist in a sealed guest. */
  permitted: PermittedMounts;
  /** /etc/fstab with the changes of the preceding steps. The text has one character per byte; null if there is no file. */
  fstab: { text: string | null } & ReturnType<typeof describeFstab>;
  /** Whether the step `home` is skipped, so that /home stays on the system disk and its lines in fstab are changed, too. */
  homeIsSkipped: boolean;
  /**
   * Returns the files below some folders that processes other than this one have open for writing, the largest first; none
   * in an image, and none on a file system that may hang. The open files of all processes are read at the first call.
   */
  openFiles: (folders: readonly string[]) => OpenFile[];
  /** Lists the other processes, at the first call. */
  processes: () => Promise<ProcessList>;
  /** Searches a folder, at the first call for it. */
  layerFiles: (root: string) => Promise<LayerFiles>;
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
  const { mounts, disks } =
    reader.image === undefined ? readStorage(reader) : imageMounts(reader, config, text ?? '');
  const fstab = describeText(reader, config, text);
  const permitted = permittedMounts({
    ...{ mounts, config, disks, layers: [], overlays: [] },
    fstab: fstab.lines,
    mountUnits: readMountUnits(reader),
    requiredDisks: findRequiredDisks({ config, mounts }, disks),
    scratchDevice:
      reader.image === undefined ? observe(() => findScratchDevice(reader, mounts)) : { value: undefined },
  });
  const systemDisks = findSystemDisks({ config, mounts }, disks, mountsOfPrograms(mounts, permitted));
  // The reader of an image refuses to list processes. The refusal is not remembered, because it is reported with each step.
  // What a server or another process provides is on no disk that the host makes read-only.
  const isLocal = ({ path }: OpenPath) => {
    const mount = mounts.serving(decodeBytes(path));
    return mount === undefined || !mayHang(mount);
  };
  const openPaths = once(() => readOpenPaths(reader).filter(isLocal));
  return {
    ...{ reader, settings, config, mounts, disks, systemDisks, permitted, fstab, homeIsSkipped },
    openFiles: (folders) => openFilesIn(reader, unlessRefused(openPaths) ?? [], folders),
    processes: once(() => listProcesses(reader)),
    layerFiles: cached((root) => findLayerFiles(reader, root)),
  };
}

function readStorage(reader: SystemReader): Pick<Snapshot, 'mounts' | 'disks'> {
  const mounts = readMountTable(reader);
  return { mounts, disks: findDisks(reader, mounts.all) };
}

function describeText(reader: SystemReader, config: Config, text: string | null): Snapshot['fstab'] {
  const described =
    reader.image === undefined
      ? describeFstab(reader, text ?? '')
      : describeImageFstab(reader, config, text ?? '');
  return { text, ...described };
}

/** Returns a reader that reads the tables of the device-mapper devices at most once, because each read starts a process. */
function withTablesReadOnce(reader: SystemReader): SystemReader {
  // The reader of an image refuses them, and its properties cannot be copied without asking for what it refuses.
  if (reader.image !== undefined) return reader;
  let tables: ReadonlyMap<string, string> | undefined;
  return { ...reader, deviceTables: () => (tables ??= reader.deviceTables()) };
}

/** Returns the kernel arguments of this boot, or those of the kernels of an image. @throws SystemError */
export function readKernelArguments(reader: SystemReader): string[] {
  return reader.image === undefined
    ? splitKernelArguments(reader.read('/proc/cmdline', 65536))
    : imageArguments(reader);
}

export function snapshotAfter(snapshot: Snapshot, actions: readonly Action[]): Snapshot {
  const last = actions.findLast((action) => action.do === 'edit' && action.file === '/etc/fstab');
  if (last?.do !== 'edit') return snapshot;
  const { reader, config } = snapshot;
  return { ...snapshot, fstab: describeText(reader, config, last.after) };
}
