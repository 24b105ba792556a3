import { type Config, readConfig } from '../../config/config.ts';
import { errorCode } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import { type Disk, findDisks } from '../../facts/disks/disks.ts';
import { type SystemDisks, findSystemDisks } from '../../assess/system-disks.ts';
import { type FstabEntry, describeFstab, readFstabText } from '../../facts/mounts/fstab-devices.ts';
import { type MountTable, mountTable } from '../../facts/mounts/mountinfo.ts';
import type { Action, Settings } from './step.ts';

/** What planners see: the guest, read once for all steps, and what was asked for. */
export interface Look {
  reader: SystemReader;
  settings: Settings;
  config: Config;
  mounts: MountTable;
  /** The disks under mounted file systems. */
  disks: Disk[];
  /** The disks that the host will make read-only: those below / and REQUIRE_READONLY. */
  systemDisks: SystemDisks;
  /** As it will be when the steps before are done. */
  fstab: PlannedFstab;
  /** Whether the step home is left out, so that what is in fstab for it stays. */
  homeIsSkipped: boolean;
}

export interface PlannedFstab {
  /** One character a byte; null without a file. */
  text: string | null;
  lines: FstabEntry[];
  problems: { line: number; reason: string }[];
}

/** @throws HostError where the mounts, the disks or fstab cannot be read: nothing can be planned then */
export function lookAt(reader: SystemReader, settings: Settings, homeIsSkipped: boolean): Look {
  const { config } = readConfig(reader);
  const mounts = mountTable(reader.read('/proc/self/mountinfo', 64 * 1024 * 1024));
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

/** As the steps that follow see it. */
export function lookAfter(look: Look, actions: readonly Action[]): Look {
  const last = actions.findLast((action) => action.do === 'edit' && action.file === '/etc/fstab');
  if (last?.do !== 'edit') return look;
  return { ...look, fstab: { text: last.after, ...describeFstab(look.reader, last.after) } };
}

/** One character a byte, at most 64 KiB; undefined without a file. */
export function textIfThere(reader: SystemReader, file: string): string | undefined {
  return reader.readIfPresent(file, 65536);
}

/** Sorted; none without a folder. */
export function namesIfThere(reader: SystemReader, folder: string): string[] {
  try {
    return reader.list(folder);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}
