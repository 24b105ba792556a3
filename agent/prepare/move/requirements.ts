import { SystemError } from '../../lib/errors.ts';
import { formatBytes } from '../../lib/format.ts';
import type { SystemReader } from '../../system/reader.ts';
import { type MountTable, isBelow, readMountTable } from '../../facts/mounts/mountinfo.ts';
import type { Context } from '../engine/context.ts';
import { byLines } from './lines.ts';

/*
 * What a move requires: the programs, enough space, and that every file can be copied.
 */

const always = [
  ['rsync', '/usr/bin/rsync'],
  ['findutils', '/usr/bin/find'],
  ['e2fsprogs', '/usr/bin/lsattr'],
  ['util-linux', '/usr/bin/flock'],
  ['util-linux', '/usr/sbin/blkid'],
] as const;

const forWholeDisk = [
  ['util-linux', '/usr/sbin/wipefs'],
  ['parted', '/usr/sbin/parted'],
  ['xfsprogs', '/usr/sbin/mkfs.xfs'],
] as const;

/**
 * Returns the programs that a move needs and that are not installed, one sentence each.
 * @param isWholeDisk whether the move partitions and formats a disk
 */
export function missingPrograms(reader: SystemReader, isWholeDisk: boolean): string[] {
  return [...always, ...(isWholeDisk ? forWholeDisk : [])]
    .filter(([, program]) => reader.stat(program) === undefined)
    .map(([name, program]) => `${program} is missing: ${installHint(reader, name)}.`);
}

/** The package managers, the preferred one first: on RHEL 8 and later, yum is a link to dnf. */
const managers = ['dnf', 'yum', 'apt-get'] as const;

/** Returns what an administrator does to install a package, as a part of a sentence: "run `yum install parted`". */
export function installHint(reader: SystemReader, name: string): string {
  const manager = managers.find((each) => reader.stat(`/usr/bin/${each}`) !== undefined);
  return manager === undefined ? `install the package ${name}` : `run \`${manager} install ${name}\``;
}

/** Directories, and the names of what they contain, for messages. */
export interface Trees {
  from: string;
  to: string;
  path: string;
  place: string;
}

const du = '/usr/bin/du';

/** The approximate share and number of bytes of a disk that XFS uses for its log and metadata. */
const reservedShare = 0.03;
const reservedBytes = 80 * 1024 * 1024;

export function capacityOf(bytes: number): number {
  return Math.max(0, bytes * (1 - reservedShare) - reservedBytes);
}

/**
 * Returns the bytes that a directory takes, without mounts below it; undefined if du(1) fails or exceeds its timeout of
 * a few seconds. Returns the used bytes of the whole file system if they fit, or if the directory is a separate file
 * system.
 * @param enough the bytes that fit in the new place
 */
export async function sizeOfDirectory(
  reader: SystemReader,
  mounts: MountTable,
  path: string,
  enough: number,
): Promise<number | undefined> {
  const whole = reader.usage(path).usedBytes;
  const mount = mounts.serving(path);
  // A mount of PERSIST shows one directory of a file system.
  if (whole <= enough || (mount?.target === path && mount.root === '/')) return whole;
  const { stdout, ended } = await reader.run(du, ['-sxB1', path]);
  const bytes = Number(stdout.split('\t')[0]);
  return ended === 'good' && bytes > 0 ? bytes : undefined;
}

/**
 * Verifies that a directory fits into another one.
 * @returns the sum of the file sizes, for the progress bar
 * @throws SystemError ENOSPC if it does not fit
 */
export async function expectSpace(
  { reader, run }: Context,
  { from, to, path, place }: Trees,
): Promise<number> {
  const measure = async (how: string, folder: string) =>
    Number((await run(du, ['-sx', how, folder], { seconds: 86400 })).split('\t')[0]);
  const needed = await measure('-B1', from);
  const { sizeBytes, usedBytes, inodes, inodesUsed } = reader.usage(to);
  // Files that an earlier run has copied need no further space.
  const free = sizeBytes - usedBytes + (await measure('-B1', to));
  if (needed > free) {
    throw new SystemError(
      `${place} is too small: ${path} takes ${formatBytes(needed)}, its file system has room for ${formatBytes(free)}`,
      'ENOSPC',
    );
  }
  const files = await countFiles(run, from);
  const left = inodes - inodesUsed + (await countFiles(run, to));
  // Btrfs reports no number of inodes.
  if (inodes > 0 && files > left)
    throw new SystemError(`${place} has ${left} inodes left, and ${path} has ${files} files`, 'ENOSPC');
  return measure('-b', from);
}

async function countFiles(run: Context['run'], folder: string): Promise<number> {
  return Number((await run(du, ['-sx', '--inodes', folder], { seconds: 86400 })).split('\t')[0]);
}

const shell = '/bin/sh';

/** The timeout of a search in a plan, in milliseconds: enough for more than a million files. */
const planLimit = 600_000;

/** The maximum number of results of a search, and of names in a message. */
const most = 20;

/**
 * Lists the directories below $1 whose device number differs from that of $1 (stat(2)): Btrfs subvolumes, which no
 * mount table shows. rsync copies and compares only one file system, so it omits them. Each name is terminated by NUL.
 */
const findForeign = `device=$(/usr/bin/stat -c %d "$1") || exit 2
/usr/bin/find "$1" -xdev -mindepth 1 -type d -printf '%D %p\\0' 2>/dev/null | grep -z -a -v -m ${most} "^$device " || [ $? -eq 1 ]`;

/** Lists files with attributes of chattr(1), except the attributes that the file system sets itself: e, I, N and h. */
const findAttributes = `/usr/bin/find "$1" -xdev '(' -type f -o -type d ')' -exec /usr/bin/lsattr -d -- '{}' + 2>/dev/null |
grep -a -m ${most} -E '^[-A-Za-z]*[aiASDsucdjtCTPFxEV][-A-Za-z]* +/' || [ $? -eq 1 ]`;

/** The parts of a directory that are not copied, one sentence each, with the solution. */
interface NotCopied {
  /** Files that are not copied. They block the move. */
  blockers: string[];
  /** Properties of files that are not copied. They do not block the move. */
  notes: string[];
}

export async function findNotCopied(
  reader: SystemReader,
  mounts: MountTable,
  path: string,
): Promise<NotCopied> {
  const below = mountedBelow(mounts, path);
  const notes = quotas(reader, mounts, path);
  // No search in this case, because find(1) calls stat(2) on the mount points, which may hang.
  if (below.length > 0) return { blockers: below, notes };
  const foreign = await reader.run(shell, ['-c', findForeign, 'sh', path], planLimit);
  const attributes = await reader.run(shell, ['-c', findAttributes, 'sh', path], planLimit);
  if (foreign.ended === 'deadline' || attributes.ended === 'deadline') {
    notes.push(
      `The search for subvolumes and attributes of chattr below ${path} was stopped after 10 minutes: --apply searches for subvolumes again, without this limit.`,
    );
  }
  return {
    blockers: foreignNames(foreign.stdout),
    notes: [...notes, ...attributeNotes(attributes.stdout, path)],
  };
}

/**
 * The maximum length of a path relative to the copied directory, in bytes: PATH_MAX (4096) without the views' own path and
 * the suffix of rsync's temporary files.
 */
const longestPath = 4040;

/**
 * Verifies that all files in a directory can be copied, without the timeout of a plan.
 * @param view a mount of the directory
 * @throws SystemError if not
 */
export async function expectAllCopyable(context: Context, path: string, view: string): Promise<void> {
  const { reader, writer, run } = context;
  const found = await run(shell, ['-c', findForeign, 'sh', view], { seconds: 86400 });
  const foreign = foreignNames(found.replaceAll(view, path));
  let tooLong: string | undefined;
  const each = byLines((name) => {
    if (name.length > longestPath)
      tooLong ??= `The path ${path}/${name.slice(0, 192)}… has ${name.length} bytes, more than the ${longestPath} that can be copied: move or rename it.`;
  }, /\0/);
  const ran = await writer.run('/usr/bin/find', [view, '-xdev', '-printf', '%P\\0'], 86400, each);
  if (ran.exit !== 0) throw new SystemError(`${path} cannot be read: ${ran.stderr.trim()}`);
  const problems = [
    ...mountedBelow(readMountTable(reader), path),
    ...foreign,
    ...(tooLong === undefined ? [] : [tooLong]),
  ];
  if (problems.length > 0) throw new SystemError(problems.join(' '));
}

function mountedBelow(mounts: MountTable, path: string): string[] {
  const below = mounts.all.filter(({ target }) => target !== path && isBelow(target, path));
  const targets = [
    ...new Set(below.filter((mount) => !mounts.hidden.has(mount)).map(({ target }) => target)),
  ];
  if (targets.length === 0) return [];
  const more = targets.length > most ? ` and ${targets.length - most} more` : '';
  return [
    `Mounted below ${path}, where the new ${path} would hide them: ${targets.slice(0, most).join(', ')}${more}. Unmount them first.`,
  ];
}

/** Describes the results of `findForeign`. @param text "DEVICE NAME" items terminated by NUL; one character per byte */
export function foreignNames(text: string): string[] {
  return text
    .split('\0')
    .slice(0, -1)
    .map(
      (item) =>
        `${item.slice(item.indexOf(' ') + 1)} is a file system of its own (a Btrfs subvolume, if it is no mount point), which the copy would leave out: copy its content to an ordinary directory and remove it (btrfs subvolume delete), or unmount it.`,
    );
}

/** Describes the results of `findAttributes`. @param text from lsattr(1): "----i---------e------- /home/alice/x" */
export function attributeNotes(text: string, path: string): string[] {
  const items = text.split('\n').flatMap((line) => {
    const [, letters, name] = /^([-A-Za-z]+) +(\/.*)$/.exec(line) ?? [];
    if (letters === undefined || name === undefined) return [];
    const words = Object.entries(attributeWords).flatMap(([letter, word]) =>
      letters.includes(letter) ? [word] : [],
    );
    return words.length === 0 ? [] : [`${name} (${words.join(', ')})`];
  });
  if (items.length === 0) return [];
  const more = items.length >= most ? ', and perhaps more' : '';
  return [
    `Attributes of chattr are not copied: ${items.join(', ')}${more}. Note them (lsattr -R ${path}), and set them again on the new ${path}.`,
  ];
}

const attributeWords: Record<string, string> = {
  a: 'append-only',
  i: 'immutable',
  A: 'no time of access',
  S: 'synchronous',
  D: 'synchronous directory',
  s: 'secure deletion',
  u: 'undeletable',
  c: 'compressed',
  d: 'no dump',
  j: 'data journal',
  t: 'no tail merging',
  C: 'no copy on write',
  T: 'top of a hierarchy',
  P: 'project hierarchy',
  F: 'case-insensitive',
  x: 'DAX',
  E: 'encrypted',
  V: 'verity',
};

const quotaOptions = /^(usr|grp|prj|u|g|p|)quota$|^[ugp]?qnoenforce$/;

/** Reports active quotas. rsync copies neither quota limits (in the file system) nor project IDs (in the inodes). */
function quotas(reader: SystemReader, mounts: MountTable, path: string): string[] {
  const mount = mounts.serving(path);
  const on = mount?.superOptions.filter((option) => quotaOptions.test(option)) ?? [];
  if (on.length === 0) return [];
  const projects = (reader.readIfPresent('/etc/projects', 65536) ?? '')
    .split('\n')
    .filter((line) => isBelow(line.replace(/^\d+:/, ''), path));
  const named = projects.length === 0 ? '' : ` (/etc/projects: ${projects.slice(0, most).join(', ')})`;
  return [
    `Quotas are on for ${mount?.target ?? path} (${on.join(', ')}): their limits, and the project IDs of files${named}, are not copied. Note them (xfs_quota -x -c 'report -a', repquota -a), and set them on the new ${path}.`,
  ];
}
