import { configFile } from '../agent/config/parse.ts';
import { nameInStore } from '../agent/facts/boot/kept-paths.ts';
import { type Mount, parseMounts } from '../agent/facts/mounts/mount-lines.ts';
import { type MountTable, servingMount, tableOf } from '../agent/facts/mounts/mount-table.ts';
import { SystemError, errorCode, errorMessage, unless } from '../agent/lib/errors.ts';
import { unescapeBytes } from '../agent/lib/octal.ts';
import { isBelow } from '../agent/lib/paths.ts';
import { disksOfMount } from './boot-state.ts';
import { NO, YES } from './command.ts';
import { type BootConfig, readConfig } from './config.ts';
import type { Disks } from './disks.ts';
import { type FstabLine, readFstab } from './fstab.ts';
import type { Native } from './native.ts';
import type { List, Refusal } from './persist-rules.ts';
import type { BootReader } from './reader.ts';

/** Why a path is not kept. */
export class Refused extends Error implements Refusal {
  readonly reason: string;
  readonly remedy: string;

  constructor(reason: string, remedy: string) {
    super(reason);
    this.reason = reason;
    this.remedy = remedy;
  }
}

export function refuse(reason: string, remedy: string): never {
  throw new Refused(reason, remedy);
}

/** @throws Refused with the refusal, if there is one */
export function unlessRefused(refusal: Refusal | undefined): void {
  if (refusal !== undefined) refuse(refusal.reason, refusal.remedy);
}

/** Runs an action. @returns why it failed, also if the system did not answer; undefined if it did not fail */
export function refusalOf(action: () => void): Refusal | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    if (error instanceof Refused) return error;
    if (error instanceof SystemError || errorCode(error) !== '')
      return { reason: errorMessage(error), remedy: 'See dmesg.' };
    throw error;
  }
}

/** Returns the answer of a command that checks a path. */
export function answer(check: () => void): { code: number; output: string } {
  const refusal = refusalOf(check);
  return refusal === undefined
    ? { code: YES, output: '' }
    : { code: NO, output: `REASON=${refusal.reason}\nREMEDY=${refusal.remedy}\n` };
}

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

// --- mounts ------------------------------------------------------------------------------------------------------

/** The file system of the store. */
export interface StoreFileSystem {
  device: string;
  /** The directory of the store in it. */
  top: string;
}

/** Whether a mount shows the directory of the store that belongs to its mount point. */
function isKept({ device, root, target }: Mount, store: StoreFileSystem): boolean {
  return device === store.device && root === `${withoutSlash(store.top)}/${nameInStore(target)}`;
}

export function withoutSlash(path: string): string {
  return path === '/' ? '' : path;
}

/** Returns the mount that serves a path without the mounts of PERSIST, and whether one of these hides the path. */
export function servingBelowKept(
  { mounts, table }: Guest,
  path: string,
  store: StoreFileSystem | undefined,
): { mount: Mount; isHidden: boolean } {
  if (store === undefined) return { mount: servingMount(table, path), isHidden: false };
  const mount = servingMount(tableOf(mounts.filter((each) => !isKept(each, store))), path);
  return { mount, isHidden: table.serving(path) !== mount };
}

/** Returns whether a path is mounted from the store already, and the mount point of another mount below it. */
export function mountsAtAndBelow({ mounts }: Guest, path: string, store: StoreFileSystem) {
  const inside = mounts.filter(({ target }) => isBelow(target, path));
  const others = inside.filter((each) => !isKept(each, store) && each.target !== path);
  return {
    isMounted: inside.some((each) => each.target === path && isKept(each, store)),
    below: others.at(-1)?.target,
  };
}

// --- directories -------------------------------------------------------------------------------------------------

const [kindBits, linkKind, directoryKind] = [0o170000, 0o120000, 0o040000];

/** What is at a name in a directory. */
export interface Described {
  isLink: boolean;
  isDirectory: boolean;
  /** The bits of chmod(2). */
  mode: number;
  user: number;
  group: number;
  /** What the file is, also after a rename. */
  identity: string;
}

/** @param name a name in the directory; empty for the directory itself */
export function describe(native: Native, directory: number, name: string): Described | undefined {
  const text = native.describe(directory, name);
  if (text === undefined) return undefined;
  const [mode = '', user = '', group = '', ...identity] = text.split(' ');
  const kind = Number(mode) & kindBits;
  return {
    ...{ isLink: kind === linkKind, isDirectory: kind === directoryKind, mode: Number(mode) & 0o7777 },
    ...{ user: Number(user), group: Number(group), identity: identity.join(' ') },
  };
}

/**
 * Opens a directory, component by component, without following a symbolic link, so that the owner of a directory above cannot
 * replace it afterwards.
 * @returns the descriptor; undefined if there is no such directory
 * @throws Refused if something else than a directory is on the path
 */
export function openDirectory(native: Native, path: string): number | undefined {
  let directory = native.openAt(-1, '/');
  for (const [name, whole] of componentsOf(path)) {
    const found = using(native, directory, () => openIn(native, directory, name, whole));
    if (found === undefined) return undefined;
    directory = found;
  }
  return directory;
}

/** Opens a directory in a directory. @param whole its path, for messages */
export function openIn(native: Native, directory: number, name: string, whole: string): number | undefined {
  const found = unless(
    () => true,
    () => native.openAt(directory, name),
  );
  if (found !== undefined) return found;
  const present = describe(native, directory, name);
  if (present === undefined) return undefined;
  if (present.isDirectory) return refuse(`${whole} cannot be opened`, 'See dmesg.');
  return refuse(`${whole} is ${present.isLink ? 'a symbolic link' : 'not a directory'}`, changedInBoot);
}

/** Runs an action with an open directory, and closes it. */
export function using<T>(native: Native, directory: number, action: (directory: number) => T): T {
  try {
    return action(directory);
  } finally {
    native.close(directory);
  }
}

/** Opens a directory that was there. */
export function reopen(native: Native, path: string): number {
  return openDirectory(native, path) ?? refuse(`${path} does not exist`, changedInBoot);
}

export const changedInBoot = 'Find out what changed the path during the boot, and see dmesg.';

/** Returns the components of a path, each with the path that ends with it. */
export function componentsOf(path: string): (readonly [name: string, whole: string])[] {
  const names = path.split('/').filter((name) => name !== '');
  return names.map((name, index) => [name, `/${names.slice(0, index + 1).join('/')}`]);
}

/** Makes a directory with a mode, and the missing directories above it, which only root can write to. */
export function makeDirectories(native: Native, path: string, mode = 0o755): void {
  let directory = native.openAt(-1, '/');
  for (const [name, whole] of componentsOf(path)) {
    directory = using(native, directory, (above) => {
      if (native.describe(above, name) === undefined)
        native.makeDirectoryAt(above, name, whole === path ? mode : 0o755);
      return native.openAt(above, name);
    });
  }
  native.close(directory);
}
