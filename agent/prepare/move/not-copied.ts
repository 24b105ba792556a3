import { SystemError } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import { isBelow, type MountTable, readMountTable } from '../../facts/mounts/mountinfo.ts';
import type { Context } from '../engine/context.ts';
import { textIfThere } from '../engine/snapshot.ts';

const shell = '/bin/sh';

/** The timeout of a search in a plan, in milliseconds: enough for more than a million files. */
const planLimit = 600_000;
const week = 7 * 86400;

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

/** Verifies that all files in a directory can be copied, without the timeout of a plan. @throws SystemError EBUSY if not */
export async function expectAllCopyable({ reader, runAbortable }: Context, path: string): Promise<void> {
  let found = '';
  const { exit, stderr } = await runAbortable(shell, ['-c', findForeign, 'sh', path], {
    seconds: week,
    output: (text) => void (found += text),
  });
  if (exit !== 0) throw new SystemError(`the search for subvolumes below ${path} failed: ${stderr.trim()}`);
  const problems = [...mountedBelow(readMountTable(reader), path), ...foreignNames(found)];
  if (problems.length > 0) throw new SystemError(problems.join(' '), 'EBUSY');
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
  const projects = (textIfThere(reader, '/etc/projects') ?? '')
    .split('\n')
    .filter((line) => isBelow(line.replace(/^\d+:/, ''), path));
  const named = projects.length === 0 ? '' : ` (/etc/projects: ${projects.slice(0, most).join(', ')})`;
  return [
    `Quotas are on for ${mount?.target ?? path} (${on.join(', ')}): their limits, and the project IDs of files${named}, are not copied. Note them (xfs_quota -x -c 'report -a', repquota -a), and set them on the new ${path}.`,
  ];
}
