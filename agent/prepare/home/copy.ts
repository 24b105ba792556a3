import { HostError } from '../../lib/errors.ts';
import { formatBytes } from '../../lib/format.ts';
import type { Ran } from '../../system/writer.ts';
import { markFile } from './progress-marker.ts';
import type { Move } from './abortable.ts';

const rsync = '/usr/bin/rsync';

/**
 * Everything that rsync carries: ACLs, extended attributes with the SELinux labels and file capabilities, hard links,
 * holes, owners by number. One file system only, and what is gone in the source goes in the copy.
 */
const everything = [
  ...['-aHAXS', '--numeric-ids', '--one-file-system', '--delete', `--exclude=/${markFile}`],
  // XFS shows its ACLs under another name, too (fs/xfs/xfs_xattr.c): as an attribute that an ext4 has not, it would be
  // taken away again, and the ACL with it. The first one is what rsync leaves out if it is given none.
  ...['--filter=-x system.*', '--filter=-x trusted.SGI_ACL_*'],
];

/** An emptied copy of ext4's own folder would be missed by e2fsck(8). */
const besides = (type: string) => (type === 'ext4' ? ['--exclude=/lost+found'] : []);

/** Nobody waits for ever: a week. */
const limit = 7 * 86400;

/** rsync(1): files vanished before they were sent; some were not transferred. They are looked at again. */
const livePasses = [0, 23, 24];

/** What rsync says in such a case is the reason, whatever its exit code is. */
const hopeless = /No space left on device|Input\/output error|Read-only file system|Structure needs cleaning/;

export interface Copying {
  /** Folders, without a slash at the end. */
  from: string;
  to: string;
  /** The file system's type at `to`. */
  type: string;
  /** Others may change `from` meanwhile. */
  live: boolean;
  /** How much there is, for the bar; 0: no bar. */
  bytes: number;
  /** Also what has the same size and time is read, and copied if it has another content. */
  checksum: boolean;
}

/**
 * Makes `to` what `from` is; what is there already is not copied again.
 * @throws HostError with rsync's reason, such as a disk that is full or broken
 */
export async function copy(move: Move, { from, to, type, live, bytes, checksum }: Copying): Promise<void> {
  const how = ['--info=progress2', '--no-human-readable', ...(checksum ? ['--checksum'] : [])];
  const args = [...everything, ...besides(type), ...how];
  const output = bytes > 0 ? bar(move, bytes) : undefined;
  const ran = await move.run(rsync, [...args, `${from}/`, `${to}/`], limit, output);
  const said = hopeless.exec(ran.stderr)?.[0];
  if (said === undefined && ran.exit !== null && (live ? livePasses : [0]).includes(ran.exit)) return;
  throw new HostError(`copying ${from} did not succeed: ${reason(ran)}`, codes[said ?? ''] ?? '');
}

/** Every byte and every attribute of both, compared. @returns what differs, as rsync(1)'s --itemize-changes says it */
export async function compare(
  move: Move,
  { from, to, type }: Pick<Copying, 'from' | 'to' | 'type'>,
  each: (item: string) => void,
): Promise<void> {
  const args = [...everything, ...besides(type), '--checksum', '--dry-run', '--out-format=%i %n'];
  const ran = await move.run(rsync, [...args, `${from}/`, `${to}/`], limit, byLines(each));
  if (ran.exit !== 0) throw new HostError(`comparing ${from} with its copy did not succeed: ${reason(ran)}`);
}

/** @returns what is not the same, in words; undefined if everything is */
export async function differences(
  move: Move,
  copying: Pick<Copying, 'from' | 'to' | 'type'>,
): Promise<string | undefined> {
  let count = 0;
  const first: string[] = [];
  await compare(move, copying, (item) => {
    count += 1;
    if (first.length < 5) first.push(item);
  });
  if (count === 0) return undefined;
  return `the copy of ${copying.from} is not the same in ${count} places: ${first.join('; ')}`;
}

/**
 * Calls for each line of a stream. A line that is not ended yet is kept, up to a length: more than a path of 4096 bytes
 * takes (PATH_MAX), each written as \#ooo.
 */
export function byLines(each: (line: string) => void, ends = /\n/): (text: string) => void {
  let left = '';
  return (text) => {
    const lines = (left + text).split(ends);
    left = (lines.pop() ?? '').slice(-65536);
    for (const line of lines) if (line !== '') each(line);
  };
}

/** "[######--------------]  31% 310 MiB of 1000 MiB", when a percent has passed. */
function bar(move: Move, total: number): (text: string) => void {
  let shown = -1;
  return byLines((line) => {
    const done = Number(/^\s*(\d+)\s+\d+%/.exec(line)?.[1] ?? NaN);
    const percent = Math.min(100, Math.floor((done / total) * 100));
    if (Number.isNaN(percent) || percent <= shown) return;
    shown = percent;
    const filled = Math.floor(percent / 5);
    const drawn = `[${'#'.repeat(filled)}${'-'.repeat(20 - filled)}]`;
    move.progress(
      `copying /home ${drawn} ${String(percent).padStart(3)}% ${formatBytes(Math.min(done, total))} of ${formatBytes(total)}`,
    );
  }, /[\r\n]/);
}

const codes: Record<string, string> = {
  'No space left on device': 'ENOSPC',
  'Input/output error': 'EIO',
  'Read-only file system': 'EROFS',
};

/** rsync says the reason first, and last that it had one. */
function reason({ stderr, exit, late }: Ran): string {
  const lines = stderr.split('\n').filter((line) => line !== '' && !/^rsync error: /.test(line));
  const ended = late ? 'it took more than a week' : `exit code ${exit ?? 'of a signal'}`;
  return `${[...new Set(lines)].slice(0, 3).join('; ') || 'rsync gave no reason'} (${ended})`;
}
