import { nameInStore } from '../../agent/facts/boot/kept-paths.ts';
import type { Mount } from '../../agent/facts/mounts/mount-lines.ts';
import { servingMount } from '../../agent/facts/mounts/mount-table.ts';
import type { Disk } from '../guest/disks.ts';
import { type Guest, disksUnder } from '../guest/guest.ts';
import { componentsOf, describe } from '../native/directories.ts';
import { Refused, refuse, unlessRefused } from '../native/refusal.ts';
import { networkRefusal, storeLine } from './rules.ts';

/** The file system of the store. */
export interface StoreFileSystem {
  device: string;
  /** The directory of the store in it. */
  top: string;
}

export function withoutSlash(path: string): string {
  return path === '/' ? '' : path;
}

/**
 * The store is an attacker's input, because root in an earlier boot may have written it: nothing in it is executed or parsed,
 * and no symbolic link in it is followed.
 */
export interface Store extends StoreFileSystem {
  /** PERSIST_STORE */
  path: string;
  /** The mount point of its file system. */
  mountPoint: string;
  disks: readonly Disk[];
  root: Root;
  /** The open directory; undefined if it does not exist. */
  directory: number | undefined;
}

/** The file system of /. */
export interface Root {
  device: string;
  disks: readonly Disk[];
}

/** @throws Refused if its disks are unknown */
export function findRoot(guest: Guest): Root {
  const mount = servingMount(guest.table, '/');
  const disks = disksUnder(guest, mount);
  return disks === undefined
    ? refuse('the disks under / are unknown', 'See the journal of this boot for the error of immutafs-boot.')
    : { device: mount.device, disks };
}

/** Refuses a store on the network, and checks its file system. @throws Refused */
export function checkStore(guest: Guest): Store {
  const line = storeLine(guest.fstab, guest.config.PERSIST_STORE);
  unlessRefused(networkRefusal(guest.fstab, guest.config.PERSIST_STORE));
  return checkStoreAt(guest, line?.target ?? '');
}

/** @param expected where fstab mounts the file system of the store; or empty @throws Refused */
export function checkStoreAt(guest: Guest, expected: string): Store {
  const path = guest.config.PERSIST_STORE;
  const root = findRoot(guest);
  const mount = servingMount(guest.table, path);
  if (mount.target === '/' || mount.target.length < expected.length)
    refuse(
      `the file system of PERSIST_STORE ${expected === '' ? '' : `at ${expected} `}is not mounted`,
      `Attach the disk, and mount it by a line in /etc/fstab${expected === '' ? '' : ` for ${expected}`}, with the options nosuid,nodev,noexec,nofail.`,
    );
  const disks = mount.device === root.device ? root.disks : (disksUnder(guest, mount) ?? []);
  checkDisks(mount, disks, root);
  checkOptions(mount);
  return {
    ...{ path, mountPoint: mount.target, disks, root, device: mount.device },
    top: `${withoutSlash(mount.root)}${path.slice(mount.target.length)}`,
    directory: openStore(guest, path),
  };
}

function checkDisks({ target, type }: Mount, disks: readonly Disk[], { disks: system }: Root): void {
  if (disks.length === 0) refuse(`${target} (${type}) is not on a disk`, 'Put PERSIST_STORE on a data disk.');
  if (sharesDisk(disks, system))
    refuse(
      `${target} is on the disk of /`,
      'Put PERSIST_STORE on another disk, which the host leaves writable.',
    );
  const sealed = disks.find(({ readOnly }) => readOnly);
  if (sealed !== undefined)
    refuse(
      `the disk ${sealed.name} of ${target} is read-only`,
      'Have the host leave this disk writable, or put PERSIST_STORE on another disk.',
    );
}

export function sharesDisk(disks: readonly Disk[], others: readonly Disk[]): boolean {
  return disks.some(({ name }) => others.some((other) => other.name === name));
}

function checkOptions({ target, options, superOptions }: Mount): void {
  const all = [...options, ...superOptions];
  if (all.includes('ro'))
    refuse(
      `${target} is mounted read-only`,
      'Find the reason in /etc/fstab and in dmesg, and mount it read-write.',
    );
  const missing = ['nosuid', 'nodev'].find((option) => !all.includes(option));
  if (missing !== undefined)
    refuse(
      `${target} is mounted without ${missing}`,
      `Add nosuid,nodev,noexec to the line of ${target} in /etc/fstab.`,
    );
}

/**
 * Opens the directories from / down to the store: none is a symbolic link, and only root can replace them, so that they do not
 * change afterwards.
 * @returns undefined if the store itself does not exist
 */
function openStore({ native }: Guest, store: string): number | undefined {
  const directories = [{ path: '/', directory: native.openAt(-1, '/') }];
  for (const [name, path] of componentsOf(store)) {
    const above = directories.at(-1)?.directory ?? -1;
    const found = describe(native, above, name);
    if (found?.isLink === true)
      refuse(
        `${path} is a symbolic link`,
        'Name the directory itself in PERSIST_STORE, and find out who made the link.',
      );
    if (found === undefined && path === store) break;
    if (found?.isDirectory !== true) refuse(`${path} is not a directory`, `Create the directory ${path}.`);
    directories.push({ path, directory: native.openAt(above, name) });
  }
  for (const { path, directory } of directories) checkOwner({ native }, store, path, directory);
  const last = directories.at(-1);
  return last?.path === store ? last.directory : undefined;
}

function checkOwner({ native }: Pick<Guest, 'native'>, store: string, path: string, directory: number): void {
  const { user = 0, mode = 0 } = describe(native, directory, '') ?? {};
  if (path === store) {
    if (user !== 0 || mode !== 0o700)
      refuse(
        `${store} does not belong to root with the mode 0700 (${user} ${mode.toString(8).padStart(4, '0')})`,
        `chown root ${store}; chmod 0700 ${store}`,
      );
  } else if (user !== 0 || (mode & 0o22) !== 0) {
    refuse(
      `users other than root can write to ${path}, which holds PERSIST_STORE`,
      `chown root ${path}; chmod go-w ${path}`,
    );
  }
}

/** Returns the store, which is made if it does not exist. Two services may make it at the same time. */
export function withDirectory(guest: Guest, store: Store): Store & { directory: number } {
  if (store.directory !== undefined) return { ...store, directory: store.directory };
  const failed = (reason: string) =>
    refuse(
      `${store.path} cannot be created${reason === '' ? '' : `: ${reason}`}`,
      'See dmesg, and create it with mkdir -m 0700.',
    );
  try {
    makeStore(guest, store.path);
    return { ...store, directory: openStore(guest, store.path) ?? failed('') };
  } catch (error) {
    return failed(error instanceof Refused || error instanceof Error ? error.message : '');
  }
}

function makeStore({ native }: Guest, store: string): void {
  const [name = ''] = componentsOf(store).at(-1) ?? [];
  const above = componentsOf(store)
    .slice(0, -1)
    .reduce((directory, [each]) => native.openAt(directory, each), native.openAt(-1, '/'));
  if (native.describe(above, name) === undefined) native.makeDirectoryAt(above, name, 0o700);
}

/** A path in the store. */
export interface Content {
  /** The name of its directory in the store. */
  name: string;
  /** The path of this directory. */
  final: string;
  isNew: boolean;
}

/** Checks the directory of a path in the store. @throws Refused */
export function checkContent({ native }: Guest, store: Store, path: string): Content {
  const name = nameInStore(path);
  const final = `${store.path}/${name}`;
  const found = store.directory === undefined ? undefined : describe(native, store.directory, name);
  const remedy = 'Find out who made it, and remove it.';
  if (found?.isLink === true) refuse(`${final} is a symbolic link`, remedy);
  if (found?.isDirectory === false) refuse(`${final} is not a directory`, remedy);
  return { name, final, isNew: found === undefined };
}
