import { configFile } from '../../agent/config/parse.ts';
import { type Mount, parseMounts } from '../../agent/facts/mounts/mount-lines.ts';
import { type MountTable, tableOf } from '../../agent/facts/mounts/mount-table.ts';
import { SystemError } from '../../agent/lib/errors.ts';
import { unescapeBytes } from '../../agent/lib/octal.ts';
import type { Native } from '../native/native.ts';
import type { BootReader } from '../native/reader.ts';
import { disksOfMount } from './boot-state.ts';
import { type BootConfig, readConfig } from './config.ts';
import type { Disks } from './disks.ts';
import { type FstabLine, readFstab } from './fstab.ts';

type Values = BootConfig['values'];

/** What the commands for PERSIST and SCRATCH read of the guest. */
export interface Guest {
  native: Native;
  reader: BootReader;
  config: Values;
  fstab: readonly FstabLine[];
  /** The mounts, with the escapes of mountinfo: no path of PERSIST has a character that is escaped. */
  mounts: readonly Mount[];
  table: MountTable;
  /** The key whose paths are checked, for messages. */
  key: List | 'SEED';
}

/** The lists of paths that a boot mounts. */
export type List = 'PERSIST' | 'SCRATCH';

/** The part of a guest that does not depend on its configuration. */
export type Basis = Pick<Guest, 'native' | 'reader'>;

/**
 * Reads the guest. The generator has warned about invalid values of the configuration.
 * @param values that replace those of the configuration
 * @throws SystemError
 */
export function readGuest({ native, reader }: Basis, key: Guest['key'], values: Partial<Values> = {}): Guest {
  const config = { ...readConfig(reader, configFile).values, ...values };
  const mounts = readMounts(native);
  return { native, reader, config, key, mounts, table: tableOf(mounts), fstab: readFstab(reader) };
}

/** The largest mount table, in bytes. */
const mostBytes = 16_000_000;

function readMounts(native: Native): Mount[] {
  return parseMounts(native.read('/proc/self/mountinfo', mostBytes), (field) => field);
}

/** Returns the guest with the mounts of now. */
export function withMountsOfNow(guest: Guest): Guest {
  const mounts = readMounts(guest.native);
  return { ...guest, mounts, table: tableOf(mounts) };
}

// --- disks -------------------------------------------------------------------------------------------------------

/** The disks under a mount; undefined if they are unknown, of which the journal has the reason. */
export function disksUnder({ native, reader }: Basis, mount: Mount): Disks['disks'] | undefined {
  try {
    const disks = disksOfMount(reader, { ...mount, source: unescapeBytes(mount.source) });
    // These devices are in memory, or in a file on an unknown file system.
    return /^(?:loop|ram|zram)/.test(disks[0]?.name ?? '') ? [] : disks;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    native.print(2, `immutafs-boot: ${error.message}\n`);
    return undefined;
  }
}
