import { SystemError } from '../../lib/errors.ts';
import { formatBytes } from '../../lib/format.ts';
import type { Ran } from '../../system/writer.ts';
import type { Context } from '../engine/context.ts';

const rsync = '/usr/bin/rsync';

/** The marker in a file system that already existed: a file in its root directory, because its disk may have other uses. */
export const markerFile = '.immutafs-home';

/** The directory in a directory of PERSIST on the system disk that contains its old content (../steps/state/old-content.ts). */
export const oldContent = 'moved-by-immutafs-agent';

/** The names in the top directory that this program made itself. */
const notContent = [markerFile, oldContent];

/**
 * Options to copy everything that rsync can copy: ACLs, extended attributes (SELinux labels, file capabilities), hard
 * links, holes, and owners by number. rsync stays on one file system, and deletes files in the copy that the source
 * does not have.
 */
const everything = [
  ...[
    '-aHAXS',
    '--numeric-ids',
    '--one-file-system',
    '--delete',
    ...notContent.map((name) => `--exclude=/${name}`),
  ],
  // XFS also shows its ACLs as attributes trusted.SGI_ACL_* (fs/xfs/xfs_xattr.c), and ext4 does not. Without the second
  // filter, a copy from ext4 to XFS removes these attributes and thereby the ACLs. The first filter is rsync's default,
  // which has no effect if other filters for attributes are given.
  ...['--filter=-x system.*', '--filter=-x trusted.SGI_ACL_*'],
];

/** Excludes lost+found on ext4, because e2fsck(8) needs this folder as mkfs created it. */
const exclusions = (type: string) => (type === 'ext4' ? ['--exclude=/lost+found'] : []);

/** The timeout of a copy, in seconds: one week, so that a copy that hangs ends eventually. */
const limit = 7 * 86400;

/**
 * The exit codes of rsync(1) that a copy accepts while the directory is in use: 0, 23 (some files were not transferred) and 24
 * (files vanished before they were sent). The next pass copies the missing files.
 */
const livePasses = [0, 23, 24];

/** Errors that another pass cannot fix, regardless of the exit code. */
const permanent =
  /No space left on device|Input\/output error|Read-only file system|Structure needs cleaning/;

export interface Copying {
  /** Folders, without a slash at the end. */
  from: string;
  to: string;
  /** The type of the file system at `to`. */
  type: string;
  /** Whether processes may change `from` during the copy. */
  live: boolean;
  /** The size of `from`, for the progress bar; 0 for no progress bar. */
  bytes: number;
  /** Whether files with the same size and time are compared by content, too. */
  checksum?: boolean;
}

/**
 * Makes `to` equal to `from`; files that are already equal are not copied again.
 * @throws SystemError with rsync's error message, for example if the disk is full or fails
 */
export async function copyTree(
  context: Context,
  { from, to, type, live, bytes, checksum = false }: Copying,
): Promise<void> {
  const how = ['--info=progress2', '--no-human-readable', ...(checksum ? ['--checksum'] : [])];
  const args = [...everything, ...exclusions(type), ...how];
  const output = bytes > 0 ? { output: bar(context, from, bytes) } : {};
  const ran = await context.runAbortable(rsync, [...args, `${from}/`, `${to}/`], {
    seconds: limit,
    ...output,
  });
  const said = permanent.exec(ran.stderr)?.[0];
  if (said === undefined && ran.exit !== null && (live ? livePasses : [0]).includes(ran.exit)) return;
  throw new SystemError(`copying ${from} failed: ${reason(ran)}`, codes[said ?? ''] ?? '');
}

/**
 * Compares every byte and attribute of two trees.
 * @param each receives each difference in the format of rsync(1) --itemize-changes
 */
export async function compareTrees(
  context: Context,
  { from, to, type }: Pick<Copying, 'from' | 'to' | 'type'>,
  each: (item: string) => void,
): Promise<void> {
  const args = [...everything, ...exclusions(type), '--checksum', '--dry-run', '--out-format=%i %n'];
  const ran = await context.runAbortable(rsync, [...args, `${from}/`, `${to}/`], {
    seconds: limit,
    output: byLines(each),
  });
  if (ran.exit !== 0) throw new SystemError(`comparing ${from} with its copy failed: ${reason(ran)}`);
}

/** Compares two trees. @returns a description of the differences; undefined if there are none */
export async function findDifferences(
  context: Context,
  copying: Pick<Copying, 'from' | 'to' | 'type'>,
): Promise<string | undefined> {
  let count = 0;
  const first: string[] = [];
  await compareTrees(context, copying, (item) => {
    count += 1;
    if (first.length < 5) first.push(item);
  });
  if (count === 0) return undefined;
  return `the copy of ${copying.from} is not the same in ${count} places: ${first.join('; ')}`;
}

/**
 * Splits a stream into lines. At most 64 KiB of an unterminated line are kept, which is more than the longest path
 * needs: 4096 bytes (PATH_MAX), each written as \#ooo.
 */
export function byLines(each: (line: string) => void, ends = /\n/): (text: string) => void {
  let unfinished = '';
  return (text) => {
    const lines = (unfinished + text).split(ends);
    unfinished = (lines.pop() ?? '').slice(-65536);
    for (const line of lines) if (line !== '') each(line);
  };
}

/** Shows "[######--------------]  31% 310 MiB of 1000 MiB" at each percent. */
function bar(context: Context, from: string, total: number): (text: string) => void {
  let shown = -1;
  return byLines((line) => {
    const done = Number(/^\s*(\d+)\s+\d+%/.exec(line)?.[1] ?? NaN);
    const percent = Math.min(100, Math.floor((done / total) * 100));
    if (Number.isNaN(percent) || percent <= shown) return;
    shown = percent;
    const filled = Math.floor(percent / 5);
    const drawn = `[${'#'.repeat(filled)}${'-'.repeat(20 - filled)}]`;
    context.progress(
      `copying ${from} ${drawn} ${String(percent).padStart(3)}% ${formatBytes(Math.min(done, total))} of ${formatBytes(total)}`,
    );
  }, /[\r\n]/);
}

const codes: Record<string, string> = {
  'No space left on device': 'ENOSPC',
  'Input/output error': 'EIO',
  'Read-only file system': 'EROFS',
};

/** Returns the reason for a failure. rsync prints the reason first; its last line only repeats the exit code. */
function reason({ stderr, exit, late }: Ran): string {
  const lines = stderr.split('\n').filter((line) => line !== '' && !/^rsync error: /.test(line));
  const ended = late ? 'it took more than a week' : `exit code ${exit ?? 'of a signal'}`;
  return `${[...new Set(lines)].slice(0, 3).join('; ') || 'rsync gave no reason'} (${ended})`;
}

/**
 * Decodes a name in the output of rsync(1), which writes unprintable bytes as \#ooo.
 * @returns one character per byte
 */
export function unescapeName(name: string): string {
  return name.replace(/\\#([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
}
