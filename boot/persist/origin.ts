import { nameInStore } from '../../agent/facts/boot/kept-paths.ts';
import type { Mount } from '../../agent/facts/mounts/mount-lines.ts';
import { optionOf, servingMount, tableOf } from '../../agent/facts/mounts/mount-table.ts';
import { unlessSystemError } from '../../agent/lib/errors.ts';
import { parentOf, isBelow } from '../../agent/lib/paths.ts';
import type { Disk } from '../guest/disks.ts';
import { type Guest, disksUnder } from '../guest/guest.ts';
import { componentsOf, makeDirectories, reopen, using } from '../native/directories.ts';
import { refuse } from '../native/refusal.ts';
import { type StoreFileSystem, withoutSlash, type Root, sharesDisk } from './store.ts';

/** Whether a mount shows the directory of the store that belongs to its mount point. */
function isKept({ device, root, target }: Mount, store: StoreFileSystem): boolean {
  return device === store.device && root === `${withoutSlash(store.top)}/${nameInStore(target)}`;
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

/** The system disk's own directory of a path. */
export interface Origin {
  /** In a sealed boot, a path in the lower layer, without what this boot has written. */
  path: string;
  /** The mount that another path of PERSIST hides; undefined if none does. */
  hiddenIn: Mount | undefined;
}

/** What the paths of PERSIST are compared with; those of SCRATCH only with the root. */
export interface Compared {
  root: Root;
  store: (StoreFileSystem & { disks: readonly Disk[] }) | undefined;
  /** Whether the boot copies the directory of the disk. */
  isNew: boolean;
}

/** Checks a path. @throws Refused */
export function checkOrigin(guest: Guest, path: string, compared: Compared): Origin {
  const { store } = compared;
  checkNoLinks(guest, path);
  checkNothingBelow(guest, path, store);
  const { mount, isHidden } = findUnder(guest, path, store);
  const origin = mount.type === 'overlay' ? lowerOf(guest, mount, path) : path;
  const serving = origin === path ? mount : servingBelowKept(guest, origin, store).mount;
  checkOriginDisk(guest, path, serving, compared);
  return { path: origin, hiddenIn: isHidden && origin === path ? serving : undefined };
}

/** Refuses a path with a symbolic link in it, and says what to do. A link that appears later is refused when it is opened. */
function checkNoLinks({ reader, key }: Guest, path: string): void {
  for (const [, link] of componentsOf(path)) {
    if ((Number(reader.stat(link) ?? 0) & 0o170000) !== 0o120000) continue;
    const target = unlessSystemError(() => reader.resolve(link)) ?? '';
    refuse(`${link} is a symbolic link`, `In ${key}, name the directory to which it points: ${target}`);
  }
}

function checkNothingBelow(guest: Guest, path: string, store: StoreFileSystem | undefined): void {
  const { below } = mountsAtAndBelow(guest, path, store ?? { device: '', top: '' });
  if (below !== undefined)
    refuse(
      `${below}, below this path, is a mount point`,
      `In ${guest.key}, name the directories of ${path} beside ${below}.`,
    );
}

/** Returns the mount that a mount on the path would cover. */
function findUnder(
  guest: Guest,
  path: string,
  store: StoreFileSystem | undefined,
): { mount: Mount; isHidden: boolean } {
  const found = servingBelowKept(guest, path, store);
  if (found.mount.target !== path) return found;
  const { device, root, type } = found.mount;
  const { mount, isHidden } = servingBelowKept(guest, parentOf(path), store);
  // For MOUNT_OPTIONS, the boot binds a directory to itself, which does not change its content.
  const below = `${withoutSlash(mount.root)}${path.slice(withoutSlash(mount.target).length)}`;
  if (mount.device !== device || below !== root)
    refuse(`${path} is a mount point already (${type})`, `Remove it from ${guest.key}.`);
  return { mount, isHidden };
}

/** Returns the directory of the lower layer of an overlay. */
function lowerOf(guest: Guest, mount: Mount, path: string): string {
  const lower = optionOf(mount, 'lowerdir') ?? '';
  if (!lower.startsWith('/run/immutafs/'))
    refuse(`${mount.target} is an overlay that immutafs did not mount`, `Remove the path from ${guest.key}.`);
  const origin = `${lower}${withoutSlash(mount.root)}${path.slice(mount.target.length)}`;
  checkNoLinks(guest, origin);
  return origin;
}

/**
 * The path is on a system disk: a disk of the root, or another read-only disk. A system disk that is not under the root is
 * writable in maintenance; the store then has a copy from an earlier sealed boot.
 */
function checkOriginDisk(guest: Guest, path: string, mount: Mount, { root, store, isNew }: Compared): void {
  const { key } = guest;
  const disks = mount.device === root.device ? root.disks : (disksUnder(guest, mount) ?? []);
  if (disks.length === 0)
    refuse(`${path} is on ${mount.target} (${mount.type}), not on a disk`, `Remove it from ${key}.`);
  if (store !== undefined && sharesDisk(disks, store.disks))
    refuse(`${path} is on the disk of PERSIST_STORE and kept already`, `Remove it from ${key}.`);
  const writable = disks.find(({ readOnly }) => !readOnly);
  if (!sharesDisk(disks, root.disks) && isNew && writable !== undefined)
    refuse(
      `${path} is on the writable disk ${writable.name} and kept already`,
      `Remove it from ${key}, unless the host makes this disk read-only, too: then it is kept from the next sealed boot on.`,
    );
}

/** Refuses a path of which the disk has no directory. */
export function checkExists(guest: Guest, path: string, { path: origin }: Origin): void {
  const { reader, key } = guest;
  const kind = (file: string) => {
    const mode = reader.stat(file);
    return mode === undefined ? undefined : (Number(mode) & 0o170000) === 0o040000;
  };
  const found = kind(origin);
  if (found === undefined)
    refuse(
      `${path} does not exist on the disk`,
      `Create it while the disk is writable, or remove it from ${key}.`,
    );
  if (!found)
    refuse(
      `${path} is not a directory: if a program renamed a new file over a mounted file, it would fail`,
      `Keep a directory instead: move the file into a directory of its own, or name ${parentOf(path)} in ${key}.`,
    );
  if (kind(path) !== true) refuse(`${path} does not exist in the kept directory above it`, `mkdir ${path}`);
}

/**
 * Opens the disk's own directory. If another directory of PERSIST hides it, a mount of the file system gives access to it for a
 * moment. The descriptor stays valid without the mount.
 */
export function openOrigin(guest: Guest, path: string, origin: Origin): number {
  const { native } = guest;
  const { hiddenIn } = origin;
  if (hiddenIn === undefined) {
    checkExists(guest, path, origin);
    return reopen(native, origin.path);
  }
  const view = `/run/immutafs/persist-view.${nameInStore(path)}`;
  makeDirectories(native, view, 0o700);
  try {
    using(native, reopen(native, hiddenIn.target), (directory) =>
      using(native, reopen(native, view), (target) => native.bind(directory, target, readOnlyFlags)),
    );
    const shown = `${view}${path.slice(withoutSlash(hiddenIn.target).length)}`;
    checkExists(guest, path, { ...origin, path: shown });
    return reopen(native, shown);
  } finally {
    native.detach(view);
  }
}

/** MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC (mount(2)) */
export const readOnlyFlags = 1 | 2 | 4 | 8;
