import { createHash } from 'node:crypto';
import { oldContent } from '../../facts/boot/marker-files.ts';
import { SystemError } from '../../lib/errors.ts';
import { formatBytes } from '../../lib/format.ts';
import { type MountTable, readMountTable } from '../../facts/mounts/mountinfo.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { Ran } from '../../system/writer.ts';
import type { Context } from '../engine/context.ts';
import { byLines } from './lines.ts';
import { type Trees, expectSpace } from './requirements.ts';

/*
 * rsync copies and compares. No process of a user runs meanwhile, and both directories are mounts of opened directories below
 * one that only root can enter (views.ts), so that no path can change between a check and its use.
 */

const rsync = '/usr/bin/rsync';

/**
 * Options to copy everything that rsync can copy: ACLs, extended attributes (SELinux labels, file capabilities), hard
 * links, holes, and owners by number. rsync stays on one file system, and deletes files in the copy that the source
 * does not have.
 */
const everything = [
  ...['-aHAXS', '--numeric-ids', '--one-file-system', '--delete', `--exclude=/${oldContent}`],
  // XFS also shows its ACLs as attributes trusted.SGI_ACL_* (fs/xfs/xfs_xattr.c), and ext4 does not. Without the second
  // filter, a copy from ext4 to XFS removes these attributes and thereby the ACLs. The first filter is rsync's default,
  // which has no effect if other filters for attributes are given.
  ...['--filter=-x system.*', '--filter=-x trusted.SGI_ACL_*'],
];

/** The time limit of a copy: half an hour, and the time for the bytes at this rate per second, with a slow disk. */
const shortest = 1800;
const slowest = 4 * 1024 * 1024;

/** Makes `to` equal to `from`. Files that an interrupted run has copied are not copied again. */
export async function copyTree(context: Context, trees: Trees): Promise<number> {
  const bytes = await expectSpace(context, trees);
  context.say(`Copying ${trees.path} (${formatBytes(bytes)}) to ${trees.place}`);
  const seconds = shortest + bytes / slowest;
  await copy(context, trees, [], seconds, bytes > 0 ? bar(context, trees.path, bytes) : undefined);
  return seconds;
}

/**
 * Compares every byte and attribute, as they are on the disks. A power cut in an earlier run can leave a file with the right
 * size and time but the wrong content. If the comparison finds such a file, the copy is repeated with checksums.
 * @param changing the tree of which the state is returned
 * @returns a hash of the state of its files, read before the comparison, so that it tells of any later change
 * @throws SystemError naming the files that still differ after a copy with checksums
 */
export async function compareTrees(
  context: Context,
  trees: Trees,
  seconds: number,
  changing: string,
): Promise<string> {
  context.say(`Comparing every byte of ${trees.path} with the copy`);
  for (const isLast of [false, true]) {
    await syncTree(context, trees.to);
    await context.run('/usr/sbin/sysctl', ['-q', 'vm.drop_caches=1']);
    const content = await contentOf(context, changing);
    const differences = await findDifferences(context, trees, seconds);
    if (differences === undefined) return content;
    if (isLast) throw new SystemError(differences);
    context.say(`${differences}; copying these again`);
    await copy(context, trees, ['--checksum'], seconds);
  }
  throw new Error('not reached');
}

/** Writes a file system to its disk. coreutils of RHEL 7 know no single file system. */
async function syncTree({ writer, run }: Context, folder: string): Promise<void> {
  const { exit } = await writer.run('/usr/bin/sync', ['--file-system', folder], 3600);
  if (exit !== 0) await run('/usr/bin/sync', []);
}

/** Returns a hash of the state of every file below a directory: inode, size, mtime, ctime and name. */
export async function contentOf({ writer }: Pick<Context, 'writer'>, folder: string): Promise<string> {
  const state = await writer.readTree(folder, () => undefined);
  return createHash('sha256').update(state.text(), 'latin1').digest('hex');
}

/** @returns a description of the differences; undefined if there are none */
async function findDifferences(context: Context, trees: Trees, seconds: number): Promise<string | undefined> {
  const found: string[] = [];
  let count = 0;
  const each = byLines((item) => {
    count += 1;
    if (count <= 5) found.push(item);
  });
  const ran = await runRsync(
    context,
    trees,
    ['--checksum', '--dry-run', '--out-format=%i %n'],
    seconds,
    each,
  );
  if (ran.exit !== 0) throw new SystemError(`comparing ${trees.path} with its copy failed: ${reason(ran)}`);
  if (count === 0) return undefined;
  return `the copy of ${trees.path} is not the same in ${count} places: ${found.join('; ')}`;
}

async function copy(
  context: Context,
  trees: Trees,
  options: readonly string[],
  seconds: number,
  output?: (text: string) => void,
): Promise<void> {
  const how = ['--info=progress2', '--no-human-readable', ...options];
  const ran = await runRsync(context, trees, how, seconds, output);
  if (ran.exit !== 0) throw new SystemError(`copying ${trees.path} failed: ${reason(ran)}`);
}

function runRsync(
  { reader, writer }: Context,
  { from, to }: Trees,
  how: readonly string[],
  seconds: number,
  output?: (text: string) => void,
): Promise<Ran> {
  const mounts = readMountTable(reader);
  // Otherwise, rsync would empty the copy of a directory that is no longer mounted.
  for (const each of [from, to])
    if (mounts.at(each).length === 0) throw new SystemError(`${each} is not mounted`);
  const excluded = isLostFoundExcluded(reader, mounts, { from, to }) ? ['--exclude=/lost+found'] : [];
  return writer.run(rsync, [...everything, ...excluded, ...how, `${from}/`, `${to}/`], seconds, output);
}

/**
 * e2fsck(8) needs the lost+found of the copy as mkfs created it. An empty one of the original is not copied, because mkfs gave it
 * no SELinux label: the kernel gives one to each new directory, and refuses to remove it (security/selinux/hooks.c,
 * selinux_inode_removexattr).
 */
function isLostFoundExcluded(
  reader: SystemReader,
  mounts: MountTable,
  { from, to }: Pick<Trees, 'from' | 'to'>,
): boolean {
  const hasLostFound = (path: string): boolean => {
    const mount = mounts.serving(path);
    return /^ext[234]$/.test(mount?.type ?? '') && mount?.root === '/';
  };
  if (hasLostFound(to)) return true;
  const original = `${from}/lost+found`;
  return (
    hasLostFound(from) && reader.stat(original)?.kind === 'directory' && reader.list(original).length === 0
  );
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
export function reason({ stderr, exit, late }: Pick<Ran, 'stderr' | 'exit' | 'late'>): string {
  const lines = stderr.split('\n').filter((line) => line !== '' && !/^rsync error: /.test(line));
  const ended = late ? 'the time limit was reached' : `exit code ${exit ?? 'of a signal'}`;
  const hint = lines.some((line) => line.includes('fremovexattr') && line.includes('security.selinux'))
    ? '. A file without an SELinux label cannot be copied: label the files with restorecon(8), and try again'
    : '';
  return `${[...new Set(lines)].slice(0, 3).join('; ') || 'rsync gave no reason'} (${ended})${hint}`;
}
