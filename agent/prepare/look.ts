import { type Config, readConfig } from '../config.ts';
import { errorCode } from '../errors.ts';
import type { Host } from '../host.ts';
import { type Disk, findDisks } from '../observe/disks.ts';
import { sealedDisks } from '../observe/enforcement.ts';
import { type FstabEntry, describeFstab, readFstabText } from '../observe/fstab-devices.ts';
import { type MountTable, mountTable } from '../observe/mountinfo.ts';
import { observe } from '../observe/observed.ts';
import type { Action, Settings } from './step.ts';

/** What planners see: the guest, read once for all steps, and what was asked for. */
export interface Look {
  host: Host;
  settings: Settings;
  config: Config;
  mounts: MountTable;
  /** The disks under mounted file systems. */
  disks: Disk[];
  /** Kernel names of those that the host will make read-only: the ones under / and REQUIRE_READONLY. */
  systemDisks: ReadonlySet<string>;
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
export function lookAt(host: Host, settings: Settings, homeIsSkipped: boolean): Look {
  const { config } = readConfig(host);
  const mounts = mountTable(host.read('/proc/self/mountinfo', 64 * 1024 * 1024));
  const disks = findDisks(host, mounts.all);
  const system = sealedDisks({ config, mounts, disks: observe(() => disks) });
  const text = readFstabText(host);
  return {
    host,
    settings,
    config,
    mounts,
    disks,
    systemDisks: new Set(system.map(({ name }) => name)),
    fstab: { text, ...describeFstab(host, text ?? '') },
    homeIsSkipped,
  };
}

/** As the steps that follow see it. */
export function lookAfter(look: Look, actions: readonly Action[]): Look {
  const last = actions.findLast((action) => action.do === 'edit' && action.file === '/etc/fstab');
  if (last?.do !== 'edit') return look;
  return { ...look, fstab: { text: last.after, ...describeFstab(look.host, last.after) } };
}

/** One character a byte, at most 64 KiB; undefined without a file. */
export function textIfThere(host: Host, file: string): string | undefined {
  try {
    return host.read(file, 65536);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Sorted; none without a folder. */
export function namesIfThere(host: Host, folder: string): string[] {
  try {
    return host.list(folder);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}
