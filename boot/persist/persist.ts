import { isMountedIn, mountOptions, nameInStore, persistRecords } from '../../agent/facts/boot/kept-paths.ts';
import { onFile } from '../../agent/lib/errors.ts';
import { isBelow, outerFirst } from '../../agent/lib/paths.ts';
import { bootState } from '../guest/boot-state.ts';
import { uptime } from '../guest/command.ts';
import { type Guest, withMountsOfNow } from '../guest/guest.ts';
import { escapePath } from '../guest/units.ts';
import { changedInBoot, describe, makeDirectories, reopen, using } from '../native/directories.ts';
import { runProgram } from '../native/programs.ts';
import { refusalOf, refuse, unlessRefused, type Refusal } from '../native/refusal.ts';
import { isLike, restoreTop, seed } from './copy.ts';
import { mountsAtAndBelow, type Origin, checkExists, checkOrigin, openOrigin } from './origin.ts';
import { type PersistItem, itemsOf, persistRefusal } from './rules.ts';
import { type Content, type Store, checkContent, checkStore, checkStoreAt, withDirectory } from './store.ts';

/** A path that can be kept, or is mounted already. */
interface Checked extends PersistItem {
  store: Store;
  content: Content;
  /** Undefined for a path that is mounted already. */
  origin: Origin | undefined;
}

/** Checks whether a path of PERSIST can be kept, except for whether the disk has its directory. @throws Refused */
function checkPath(guest: Guest, path: string): Checked {
  const item =
    itemsOf(guest.config.PERSIST).find((each) => each.path === path) ??
    refuse('PERSIST does not name this path', 'The units are from an older configuration: reboot.');
  unlessRefused(persistRefusal(guest.reader, guest.config, guest.fstab, item));
  return checkInStore(guest, item, checkStore(guest));
}

/** Does the same for `persist-check`, which mounts nothing: of a directory that is hidden, it checks what hides it. */
export function checkOnly(guest: Guest, path: string): void {
  const { origin } = checkPath(guest, path);
  if (origin !== undefined) checkExists(guest, path, origin);
}

function checkInStore(guest: Guest, item: PersistItem, store: Store): Checked {
  const content = checkContent(guest, store, item.path);
  if (mountsAtAndBelow(guest, item.path, store).isMounted)
    return { ...item, store, content, origin: undefined };
  const compared = { root: store.root, store, isNew: content.isNew };
  return { ...item, store, content, origin: checkOrigin(guest, item.path, compared) };
}

/**
 * Keeps a path: mounts its directory in the store over it. At the first use, copies the content of the disk's directory into the
 * store.
 * @returns what was corrected; or empty
 * @throws Refused
 */
export function keep(guest: Guest, path: string): string {
  const checked = checkPath(guest, path);
  if (checked.origin === undefined) return '';
  checkMode(guest, checked);
  const { content } = checked;
  return using(guest.native, openOrigin(guest, path, checked.origin), (origin) => {
    const store = withDirectory(guest, checked.store);
    if (content.isNew) seed(guest, { origin, store, content, path });
    return using(guest.native, reopen(guest.native, content.final), (directory) => {
      const note = content.isNew ? '' : restoreTop(guest, directory, origin, content.final);
      mountLike(guest, { ...checked, shown: content.final }, directory, origin);
      return note;
    });
  });
}

/** Refuses a path that this boot does not mount. Needed if an administrator starts the service of the path manually. */
function checkMode({ reader, mounts, config }: Guest, { path, options }: PersistItem): void {
  const state = bootState(reader, mounts, config);
  // Without a record of the boot, the decision of the generator applies.
  if (state.isRecorded && !isMountedIn(options, state))
    refuse(
      'programs may be started from it, and the system disk is writable in this boot',
      `To mount it in maintenance boots, too, add maintenance to the options of ${path} in PERSIST.`,
    );
}

/** The bits of mount(2). */
const flags: Readonly<Record<string, number>> = { nosuid: 2, nodev: 4, noexec: 8 };

/** Returns the flags of mount(2) for a path with options of PERSIST or SCRATCH. */
export function mountFlags(options: readonly string[]): number {
  return mountOptions(options).reduce((sum, option) => sum | (flags[option] ?? 0), 0);
}

/**
 * Mounts a directory over a path, unless its owner, mode, SELinux label or an access control list is not that of the disk's
 * directory.
 * @param shown the path of the directory, for messages
 */
export function mountLike(
  guest: Guest,
  { path, options, shown }: { path: string; options: readonly string[]; shown: string },
  directory: number,
  origin: number,
): void {
  if (!isLike(guest, directory, origin))
    refuse(
      `${shown} has another owner, mode, SELinux label or access control list than the directory on the disk`,
      changedInBoot,
    );
  bindOver(guest, path, directory, mountFlags(options));
}

/** Binds a directory to a path. @param bits flags of mount(2) @throws Refused if the path was replaced meanwhile */
export function bindOver(
  { native }: Pick<Guest, 'native'>,
  path: string,
  directory: number,
  bits: number,
): void {
  using(native, reopen(native, path), (target) => onFile(path, () => native.bind(directory, target, bits)));
  const identity = (each: number) => describe(native, each, '')?.identity;
  if (using(native, reopen(native, path), identity) !== identity(directory))
    refuse(`${path} was replaced while it was mounted`, changedInBoot);
}

/** Replaces the record of a path. The reason of a path that is kept is a note. */
export function record(
  { native }: Pick<Guest, 'native'>,
  path: string,
  state: 'begun' | 'kept' | 'failed',
  why: Refusal,
): void {
  makeDirectories(native, persistRecords);
  const file = `${persistRecords}/${nameInStore(path)}`;
  const line = (text: string) => text.replaceAll('\n', ' ');
  onFile(file, () =>
    native.write(file, `STATE=${state}\nREASON=${line(why.reason)}\nREMEDY=${line(why.remedy)}\n`),
  );
}

export const nothing: Refusal = { reason: '', remedy: '' };

/** Limit in seconds for the services of all paths together, so that they cannot hold the boot longer. */
export const totalSeconds = 600;

/**
 * Mounts the directories of PERSIST. Leaves a path that needs more than its mount to immutafs-persist@.service, which has a time
 * limit of its own and fails for that path alone: a path at its first use, a path that cannot be kept, and a path whose directory
 * in the store has another owner, mode or access control list.
 * @param expected where fstab mounts the file system of the store; or empty
 * @param refused paths that cannot be kept according to the configuration
 */
export function keepAll(guest: Guest, expected: string, refused: readonly string[]): void {
  const end = uptime(guest.reader) + totalSeconds;
  const items = itemsOf(guest.config.PERSIST);
  const all = [...items.map(({ path }) => path), ...refused];
  let store: Store | undefined;
  refusalOf(() => {
    store = checkStoreAt(guest, expected);
  });
  const usable = store?.directory === undefined ? undefined : store;
  const separate = items.filter((item) => {
    if (usable === undefined || isBelowAnother(item.path, all)) return true;
    const failed = refusalOf(() => keepSimply(guest, item, usable));
    if (failed !== undefined && !isMountedNow(guest, item.path, usable)) return true;
    record(guest, item.path, 'kept', nothing);
    return false;
  });
  const left = [...separate.map(({ path }) => path), ...refused];
  keepSeparately(guest, outerFirst(left), end);
}

function isBelowAnother(path: string, all: readonly string[]): boolean {
  return all.some((other) => other !== path && isBelow(path, other));
}

/** Keeps a path by its mount alone, unless it is mounted already. @throws Refused if it needs more */
function keepSimply(guest: Guest, item: PersistItem, store: Store): void {
  const checked = checkInStore(guest, item, store);
  const { origin, content } = checked;
  if (origin === undefined) return;
  if (content.isNew || origin.hiddenIn !== undefined) refuse('it needs its own service', '');
  using(guest.native, reopen(guest.native, content.final), (directory) =>
    using(guest.native, openOrigin(guest, item.path, origin), (own) =>
      mountLike(guest, { ...checked, shown: content.final }, directory, own),
    ),
  );
}

/** A mount that was made, and whose place was exchanged afterwards, is not at the path. */
function isMountedNow(guest: Guest, path: string, store: Store): boolean {
  return mountsAtAndBelow(withMountsOfNow(guest), path, store).isMounted;
}

/**
 * Runs the services of paths one after the other, until the time is used up. A service that is already active runs again.
 */
function keepSeparately(guest: Guest, paths: readonly string[], end: number): void {
  const { native } = guest;
  const systemctl = (seconds: number, verb: string, path: string) => {
    const service = `immutafs-persist@${escapePath(path)}.service`;
    const { code, output } = runProgram(native, seconds, 'systemctl', verb, service);
    if (output !== '') native.print(2, `${output}\n`);
    return code === 124;
  };
  for (const path of paths) {
    const left = end - uptime(guest.reader);
    if (left > 0) {
      if (!systemctl(left, 'restart', path)) continue;
      systemctl(30, 'stop', path);
    }
    const late = {
      reason: `the time for all paths of PERSIST, ${totalSeconds} s, was used up`,
      remedy: 'Reboot: the next boot keeps it. For smaller copies, name smaller directories in PERSIST.',
    };
    record(guest, path, 'failed', late);
    native.print(2, notKept(path, late));
  }
}

export function notKept(path: string, { reason, remedy }: Refusal): string {
  return `immutafs: ${path} is not kept: ${reason}. ${remedy}\n`;
}
