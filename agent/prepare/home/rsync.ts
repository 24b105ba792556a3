import { HostError } from '../../lib/errors.ts';
import { formatBytes } from '../../lib/format.ts';
import type { Ran } from '../../system/writer.ts';
import type { Context } from '../engine/context.ts';
import { markerFile } from './progress-marker.ts';

const rsync = '/usr/bin/rsync';

/**
 * Everything that rsync can copy: ACLs, extended attributes (SELinux labels, file capabilities), hard links, holes, owners
 * by number. One file system only; files that are gone in the source are deleted in the copy.
 */
const everything = [
  ...['-aHAXS', '--numeric-ids', '--one-file-system', '--delete', `--exclude=/${markerFile}`],
  // XFS shows its ACLs as these attributes, too (fs/xfs/xfs_xattr.c). ext4 does not, so rsync would remove them from the
  // copy, and the ACLs with them. The first filter is rsync's default, which a filter of our own replaces.
  ...['--filter=-x system.*', '--filter=-x trusted.SGI_ACL_*'],
];

/** e2fsck(8) needs ext4's own folder as mkfs made it. */
const exclusions = (type: string) => (type === 'ext4' ? ['--exclude=/lost+found'] : []);

/** Seconds: a week, so that a copy that hangs does not stay for good. */
const limit = 7 * 86400;

/** rsync(1): 24, files vanished before they were sent; 23, some were not transferred. The next pass copies them. */
const livePasses = [0, 23, 24];

/** Errors that another pass cannot fix, whatever the exit code is. */
const permanent =
  /No space left on device|Input\/output error|Read-only file system|Structure needs cleaning/;

export interface Copying {
  /** Folders, without a slash at the end. */
  from: string;
  to: string;
  /** The file system's type at `to`. */
  type: string;
  /** Whether processes may change `from` meanwhile. */
  live: boolean;
  /** The size of `from`, for the progress bar; 0: no bar. */
  bytes: number;
  /** Whether files of the same size and time are compared by content, too. */
  checksum?: boolean;
}

/**
 * Makes `to` equal to `from`; files that are already equal are not copied again.
 * @throws HostError with rsync's reason, such as a disk that is full or broken
 */
export async function copyTree(
  context: Context,
  { from, to, type, live, bytes, checksum = false }: Copying,
): Promise<void> {
  const how = ['--info=progress2', '--no-human-readable', ...(checksum ? ['--checksum'] : [])];
  const args = [...everything, ...exclusions(type), ...how];
  const output = bytes > 0 ? { output: bar(context, bytes) } : {};
  const ran = await context.runAbortable(rsync, [...args, `${from}/`, `${to}/`], {
    seconds: limit,
    ...output,
  });
  const said = permanent.exec(ran.stderr)?.[0];
  if (said === undefined && ran.exit !== null && (live ? livePasses : [0]).includes(ran.exit)) return;
  throw new HostError(`copying ${from} did not succeed: ${reason(ran)}`, codes[said ?? ''] ?? '');
}

/** Compares every byte and attribute. @param each receives each difference in the format of rsync(1) --itemize-changes */
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
  if (ran.exit !== 0) throw new HostError(`comparing ${from} with its copy did not succeed: ${reason(ran)}`);
}

/** @returns a description of the differences; undefined if there are none */
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
 * Splits a stream into lines. An unfinished line is kept up to 64 KiB: more than a path takes, of 4096 bytes (PATH_MAX) that
 * are each written as \#ooo.
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
function bar(context: Context, total: number): (text: string) => void {
  let shown = -1;
  return byLines((line) => {
    const done = Number(/^\s*(\d+)\s+\d+%/.exec(line)?.[1] ?? NaN);
    const percent = Math.min(100, Math.floor((done / total) * 100));
    if (Number.isNaN(percent) || percent <= shown) return;
    shown = percent;
    const filled = Math.floor(percent / 5);
    const drawn = `[${'#'.repeat(filled)}${'-'.repeat(20 - filled)}]`;
    context.progress(
      `copying /home ${drawn} ${String(percent).padStart(3)}% ${formatBytes(Math.min(done, total))} of ${formatBytes(total)}`,
    );
  }, /[\r\n]/);
}

const codes: Record<string, string> = {
  'No space left on device': 'ENOSPC',
  'Input/output error': 'EIO',
  'Read-only file system': 'EROFS',
};

/** rsync prints the reason first; its last line only repeats the exit code. */
function reason({ stderr, exit, late }: Ran): string {
  const lines = stderr.split('\n').filter((line) => line !== '' && !/^rsync error: /.test(line));
  const ended = late ? 'it took more than a week' : `exit code ${exit ?? 'of a signal'}`;
  return `${[...new Set(lines)].slice(0, 3).join('; ') || 'rsync gave no reason'} (${ended})`;
}

/** rsync(1) writes bytes that are not printable as \#ooo. @returns one character a byte */
export function unescapeName(name: string): string {
  return name.replace(/\\#([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
}
