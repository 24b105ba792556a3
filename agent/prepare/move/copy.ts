import { SystemError } from '../../lib/errors.ts';
import { formatBytes } from '../../lib/format.ts';
import type { Ran, TreeState } from '../../system/writer.ts';
import type { Context } from '../engine/context.ts';
import { makeReadOnly, staging } from './mounting.ts';
import type { Moving } from './moving.ts';
import { expectAllCopyable, expectSpace } from './requirements.ts';
import { regionOf } from './region.ts';
import { expectUnreachable } from './users.ts';
import { readMountTable } from '../../facts/mounts/mountinfo.ts';

/** A directory whose content moves to the directory that is mounted at `staging`. */
export interface Move {
  path: string;
  /** For messages. */
  to: string;
  /** The type of the new file system; empty if only a directory of it is used. */
  type: string;
  /** Makes the comparison read the disk and not the page cache. */
  dropCache: () => Promise<void>;
}

/** Milliseconds. After a shorter pass, the directory is made read-only for the final pass. */
const shortPass = 60_000;
const mostPasses = 4;

/** Copies a directory while it is in use. Files that an interrupted run has copied are not copied again. */
export async function copyInUse(context: Context, { path, to, type }: Move): Promise<void> {
  const bytes = await expectSpace(context, path, to);
  context.say(`Copying ${path} (${formatBytes(bytes)}) to ${to}; it can be used meanwhile`);
  for (let pass = 0; pass < mostPasses; pass++) {
    const began = performance.now();
    const output = pass === 0 && bytes > 0 ? bar(context, path, bytes) : undefined;
    await copyTree(context, { from: path, to: staging, type }, livePasses, [], output);
    if (performance.now() - began < shortPass) break;
  }
}

/**
 * Makes a directory read-only, copies the remaining changes and compares every byte. The directory stays read-only until
 * the switch. If an action fails before, it becomes writable again at the end of the step.
 * @param advice what to do about processes that can still write to the directory
 * @throws SystemError EBUSY naming these processes
 */
export async function copyFinally(
  context: Context,
  moving: Moving,
  move: Move,
  advice: string,
): Promise<NonNullable<Moving['old']>> {
  const { reader } = context;
  const region = await regionOf(reader, readMountTable(reader), move.path);
  moving.release = await makeReadOnly(context, move.path);
  // Checked again, because a process may have started to use the directory after the first check.
  await expectUnreachable(reader, region, advice);
  await expectAllCopyable(context, move.path);
  context.say(
    `Copying what has changed meanwhile, and comparing every byte; ${move.path} is read-only until then`,
  );
  const state = await copyRest(context, move, false);
  moving.old = { region, state };
  return moving.old;
}

/**
 * Copies the remaining changes and compares the directory with the copy. A power cut in an earlier run can leave a file
 * with the right size and time but the wrong content. If the comparison finds such a file, the copy is repeated with
 * checksums.
 * @param checksum whether files with the same size and time are compared by content, too
 * @returns the state of the directory that was compared
 * @throws SystemError naming the files that still differ after a copy with checksums
 */
export async function copyRest(context: Context, move: Move, checksum: boolean): Promise<TreeState> {
  const trees = { from: move.path, to: staging, type: move.type };
  await copyTree(context, trees, [0], checksum ? ['--checksum'] : []);
  await move.dropCache();
  // Read before the comparison, so that any later change of a file is a difference from this state.
  const state = await context.writer.readTree(move.path, context.checkAborted);
  const differences = await findDifferences(context, trees);
  if (differences === undefined) return state;
  if (checksum) throw new SystemError(differences);
  context.say(`${differences}; copying these again`);
  return copyRest(context, move, true);
}

const rsync = '/usr/bin/rsync';

/** The marker in a file system that already existed: a file in its root directory, because its disk may have other uses. */
export const markerFile = '.immutafs-home';

/** The directory in a directory of PERSIST on the system disk that contains its old content (../steps/state/old-content.ts). */
export const oldContent = 'moved-by-immutafs-agent';

/**
 * Options to copy everything that rsync can copy: ACLs, extended attributes (SELinux labels, file capabilities), hard
 * links, holes, and owners by number. rsync stays on one file system, and deletes files in the copy that the source
 * does not have.
 */
const everything = [
  ...['-aHAXS', '--numeric-ids', '--one-file-system', '--delete'],
  // The names in the top directory that this program made itself.
  ...[`--exclude=/${markerFile}`, `--exclude=/${oldContent}`],
  // XFS also shows its ACLs as attributes trusted.SGI_ACL_* (fs/xfs/xfs_xattr.c), and ext4 does not. Without the second
  // filter, a copy from ext4 to XFS removes these attributes and thereby the ACLs. The first filter is rsync's default,
  // which has no effect if other filters for attributes are given.
  ...['--filter=-x system.*', '--filter=-x trusted.SGI_ACL_*'],
];

/** The timeout of a copy, in seconds: one week, so that a copy that hangs ends eventually. */
const limit = 7 * 86400;

/**
 * The exit codes of rsync(1) that a copy accepts while the directory is in use: 0, 23 (some files were not transferred)
 * and 24 (files vanished before they were sent). The next pass copies the missing files.
 */
const livePasses = [0, 23, 24];

/** Errors that another pass cannot fix, regardless of the exit code, with the code of the SystemError. */
const permanent: Record<string, string> = {
  'No space left on device': 'ENOSPC',
  'Input/output error': 'EIO',
  'Read-only file system': 'EROFS',
  'Structure needs cleaning': '',
};

/** Folders, without a slash at the end, and the type of the file system at `to`. */
interface Trees {
  from: string;
  to: string;
  type: string;
}

/**
 * Makes `to` equal to `from`; files that are already equal are not copied again.
 * @param accepted the exit codes of rsync(1) that are no failure
 * @throws SystemError with rsync's error message, for example if the disk is full or fails
 */
async function copyTree(
  context: Context,
  trees: Trees,
  accepted: readonly number[],
  options: readonly string[],
  output?: (text: string) => void,
): Promise<void> {
  const how = ['--info=progress2', '--no-human-readable', ...options];
  const ran = await runRsync(context, trees, how, output);
  const [said] = new RegExp(Object.keys(permanent).join('|')).exec(ran.stderr) ?? [];
  if (said === undefined && ran.exit !== null && accepted.includes(ran.exit)) return;
  throw new SystemError(`copying ${trees.from} failed: ${reason(ran)}`, permanent[said ?? ''] ?? '');
}

/**
 * Compares every byte and attribute of two trees.
 * @param each receives each difference in the format of rsync(1) --itemize-changes
 */
export async function compareTrees(
  context: Context,
  trees: Trees,
  each: (item: string) => void,
): Promise<void> {
  const how = ['--checksum', '--dry-run', '--out-format=%i %n'];
  const ran = await runRsync(context, trees, how, byLines(each));
  if (ran.exit !== 0) throw new SystemError(`comparing ${trees.from} with its copy failed: ${reason(ran)}`);
}

function runRsync(
  { runAbortable }: Context,
  { from, to, type }: Trees,
  how: readonly string[],
  output?: (text: string) => void,
): Promise<Ran> {
  // e2fsck(8) needs lost+found as mkfs created it.
  const excluded = type === 'ext4' ? ['--exclude=/lost+found'] : [];
  const args = [...everything, ...excluded, ...how, `${from}/`, `${to}/`];
  return runAbortable(rsync, args, { seconds: limit, output });
}

/** @returns a description of the differences; undefined if there are none */
async function findDifferences(context: Context, trees: Trees): Promise<string | undefined> {
  const found: string[] = [];
  let count = 0;
  await compareTrees(context, trees, (item) => {
    count += 1;
    if (count <= 5) found.push(item);
  });
  if (count === 0) return undefined;
  return `the copy of ${trees.from} is not the same in ${count} places: ${found.join('; ')}`;
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
