import { oldContent } from '../../agent/facts/boot/marker-files.ts';
import { SystemError, onFile } from '../../agent/lib/errors.ts';
import type { Basis, Guest } from '../guest/guest.ts';
import { hasSelinux } from '../guest/selinux.ts';
import { type Described, describe } from '../native/directories.ts';
import { firstLine, runIn } from '../native/programs.ts';
import { refusalOf, refuse } from '../native/refusal.ts';
import type { Content, Store } from './store.ts';

/** Limits in seconds. Together, they are smaller than TimeoutStartSec= of immutafs-persist@.service. */
const copySeconds = 300;
const otherSeconds = 60;

/** The directory of a path on the disk and the store, both open. */
export interface Places {
  origin: number;
  store: Store & { directory: number };
  content: Content;
  path: string;
}

/**
 * Copies the disk's directory into the store. While a copy is made, it is named seeding:NAME. It gets its final name when all of
 * it is on the disk, so that a power cut leaves either all or nothing.
 */
export function seed(guest: Guest, places: Places): void {
  const { native } = guest;
  const { origin, path, store, content } = places;
  // `immutafs-agent prepare --move-state` has moved the content into the store.
  if (native.describe(origin, oldContent) !== undefined)
    refuse(
      `its content was moved to ${content.final}, which does not exist`,
      `Attach the disk that has it, restore it to ${content.final}, or move the old content back from ${path}/${oldContent} on the disk.`,
    );
  // Removes a copy that an earlier boot did not complete.
  removeCopy(guest, places);
  checkSpace(guest, places);
  const name = nameOfCopy(content);
  const failed = refusalOf(() => {
    const kept = `mode,ownership,timestamps,links,xattr${hasSelinux(guest) ? ',context' : ''}`;
    run(guest, copySeconds, origin, 'cp', '-dRx', `--preserve=${kept}`, '-T', '.', `${store.path}/${name}`);
    onFile('sync', () => native.sync(store.directory));
    onFile(content.final, () => native.rename(store.directory, name, content.name));
  });
  if (failed !== undefined) {
    removeCopy(guest, places);
    refuse(failed.reason, failed.remedy);
  }
  onFile('sync', () => native.sync(store.directory));
}

function nameOfCopy({ name }: Content): string {
  return `seeding:${name}`;
}

function removeCopy(guest: Guest, { store, content }: Places): void {
  const name = nameOfCopy(content);
  if (guest.native.describe(store.directory, name) === undefined) return;
  run(guest, otherSeconds, store.directory, 'rm', '-rf', '--one-file-system', `${store.path}/${name}`);
}

function checkSpace({ native }: Guest, { origin, path, store }: Places): void {
  const count = (...options: string[]) => {
    const { code, output } = runIn(native, origin, otherSeconds, 'du', ...options, '.');
    return code === 0 ? /^(\d{1,15})\s/.exec(output)?.[1] : undefined;
  };
  const kibibytes = count('-skx');
  if (kibibytes === undefined)
    refuse(
      `the size of ${path} could not be determined in ${otherSeconds} s`,
      'Name smaller directories in PERSIST, or remove files from the disk.',
    );
  const files = Number(count('-sx', '--inodes') ?? 0);
  const space = onFile(store.path, () => native.space(store.directory));
  const [blocks = 0, size = 0, inodes = 0, allInodes = 0] = space.split(' ').map(Number);
  // A margin for directories and for the journal of the file system.
  const needed = Math.floor(Number(kibibytes) * 1.05) + 1024;
  const free = Math.floor((blocks * size) / 1024);
  if (needed > free)
    refuse(
      `the copy needs ${needed} KiB, and ${store.mountPoint} has ${free} KiB free`,
      `Free space on ${store.mountPoint} or enlarge it.`,
    );
  // Btrfs reports no number of inodes.
  if (allInodes !== 0 && files > inodes)
    refuse(
      `the copy has ${files} files, and ${store.mountPoint} has ${inodes} inodes free`,
      `Free inodes on ${store.mountPoint} or enlarge it.`,
    );
}

/** Runs a program with a time limit. @throws Refused if it fails */
function run(
  { native }: Guest,
  seconds: number,
  directory: number,
  program: string,
  ...args: string[]
): void {
  const ended = runIn(native, directory, seconds, program, ...args);
  if (ended.code === 0) return;
  if (ended.code === 124)
    refuse(
      `${program} took more than ${seconds} s`,
      'Name smaller directories in PERSIST, or use a faster disk.',
    );
  refuse(`${program} failed: ${firstLine(ended)}`, 'Check the disks (dmesg). The next boot tries again.');
}

// --- owner, mode, label and access control lists -------------------------------------------------------------------

/** The access list decides who can open the directory; the default list is inherited by what is created in it. */
const lists = ['system.posix_acl_access', 'system.posix_acl_default'];
const label = 'security.selinux';

/** Describes what decides who can use a directory, except for the lists: "UID:GID MODE LABEL". */
function topOf(guest: Basis, directory: number): Described & { text: string } {
  const found = describe(guest.native, directory, '');
  if (found === undefined) throw new SystemError('a directory that is open does not exist');
  const { user, group, mode } = found;
  const context = hasSelinux(guest) ? ` ${guest.native.attribute(directory, label).replace('\0', '')}` : '';
  return { ...found, text: `${user}:${group} ${mode.toString(8)}${context}` };
}

/** Whether a directory has the owner, mode, SELinux label and access control lists of the disk's directory. */
export function isLike(guest: Guest, directory: number, origin: number): boolean {
  const { native } = guest;
  const hasEqual = (list: string) => native.attribute(directory, list) === native.attribute(origin, list);
  return topOf(guest, directory).text === topOf(guest, origin).text && lists.every(hasEqual);
}

/**
 * Gives the top directory in the store the owner, mode, SELinux label and access control lists of the disk's directory, which
 * root in an earlier boot may have changed.
 * @returns what was corrected; or empty
 */
export function restoreTop(guest: Guest, directory: number, origin: number, final: string): string {
  const { native } = guest;
  const [wanted, had] = [topOf(guest, origin), topOf(guest, directory)];
  const changed = lists.filter(
    (list) => native.attribute(directory, list) !== native.attribute(origin, list),
  );
  for (const list of changed) native.copyAttribute(directory, list, origin);
  const reset = `${final} had ${had.text} and was reset to ${wanted.text}, as on the disk`;
  const notes = [
    ...(wanted.text === had.text ? [] : [reset]),
    ...(changed.length === 0
      ? []
      : [`${final} had other access control lists (acl(5)) than the directory on the disk; they were reset`]),
  ];
  // An access control list changes the mode.
  if (notes.length > 0) copyOwner(guest, directory, origin, wanted);
  return notes.join('; ');
}

/** Gives a directory the owner, mode, SELinux label and access control lists of another one. */
export function copyTop(guest: Basis, directory: number, origin: number): void {
  const { native } = guest;
  for (const list of lists)
    if (native.attribute(origin, list) !== '') native.copyAttribute(directory, list, origin);
  copyOwner(guest, directory, origin, topOf(guest, origin));
}

function copyOwner(guest: Basis, directory: number, origin: number, { user, group, mode }: Described): void {
  guest.native.setOwner(directory, user, group, mode);
  if (hasSelinux(guest)) guest.native.copyAttribute(directory, label, origin);
}
