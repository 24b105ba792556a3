import { type Config, readConfig } from '../../config/config.ts';
import { errorCode } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import { type Disk, findDisks } from '../../facts/disks/disks.ts';
import { type SystemDisks, findSystemDisks } from '../../assess/system-disks.ts';
import { type FstabEntry, describeFstab, readFstabText } from '../../facts/mounts/fstab-devices.ts';
import { type MountTable, mountTable } from '../../facts/mounts/mountinfo.ts';
import { type Action, type Settings, noSettings } from './step.ts';

/** What planners work with: the guest, read once for all steps, and the options of the command line. */
export interface Snapshot {
  reader: SystemReader;
  settings: Settings;
  config: Config;
  mounts: MountTable;
  /** The disks under mounted file systems. */
  disks: Disk[];
  /** The disks that the host will make read-only: those under / and REQUIRE_READONLY. */
  systemDisks: SystemDisks;
  /** As the steps before leave it. */
  fstab: PlannedFstab;
  /** Whether the step home is left out, so that the lines for /home stay on the system disk. */
  homeIsSkipped: boolean;
}

export interface PlannedFstab {
  /** One character a byte; null without a file. */
  text: string | null;
  lines: FstabEntry[];
  problems: { line: number; reason: string }[];
}

/** @throws HostError if the mounts, the disks or fstab cannot be read: then nothing can be planned */
export function readSnapshot(
  reader: SystemReader,
  settings: Settings = noSettings,
  homeIsSkipped = false,
): Snapshot {
  const { config } = readConfig(reader);
  const mounts = readMounts(reader);
  const disks = findDisks(reader, mounts.all);
  const text = readFstabText(reader);
  return {
    reader,
    settings,
    config,
    mounts,
    disks,
    systemDisks: findSystemDisks({ config, mounts }, disks),
    fstab: { text, ...describeFstab(reader, text ?? '') },
    homeIsSkipped,
  };
}

/** The snapshot as the steps after these actions see it. */
export function snapshotAfter(snapshot: Snapshot, actions: readonly Action[]): Snapshot {
  const last = actions.findLast((action) => action.do === 'edit' && action.file === '/etc/fstab');
  if (last?.do !== 'edit') return snapshot;
  return { ...snapshot, fstab: { text: last.after, ...describeFstab(snapshot.reader, last.after) } };
}

/** This process's mount table, as it is now. */
export function readMounts(reader: SystemReader): MountTable {
  return mountTable(reader.read('/proc/self/mountinfo', 64 * 1024 * 1024));
}

/** One character a byte, at most 64 KiB; undefined without a file. */
export function textIfThere(reader: SystemReader, file: string): string | undefined {
  return reader.readIfPresent(file, 65536);
}

/** Sorted; empty without a folder. */
export function namesIfThere(reader: SystemReader, folder: string): string[] {
  try {
    return reader.list(folder);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}
