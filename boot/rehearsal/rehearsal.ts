/** A rehearsal: one boot that the guest itself seals although the host left the disk writable. */
import { parseKernelArgument } from '../../agent/facts/boot/kernel-arguments.ts';
import { onFile } from '../../agent/lib/errors.ts';
import { type Decision, readCommandLine } from '../guest/boot-state.ts';
import type { Early } from '../guest/command.ts';
import { isLink } from '../guest/units.ts';
import { componentsOf, reopen, using } from '../native/directories.ts';
import { isRegular } from '../native/reader.ts';
import { refusalOf } from '../native/refusal.ts';

/**
 * The agent creates the request (immutafs-agent prepare --rehearse) in a directory that only root can read and write. Its first
 * line is the time limit in seconds.
 */
const request = '/etc/immutafs/rehearsal/requested';

/**
 * A request is older than this only if the boot that it was made for was never a maintenance boot, for example because the host
 * sealed the guest first. A guest that is opened for an update later must not rehearse by surprise. A clock that is set to local
 * time is off by less than this.
 */
const validSeconds = 86_400;

const readOnly = 1;

/**
 * Returns the time limit, if a rehearsal is requested and possible; empty otherwise. Removes the request from the disk first:
 * without that, every later boot would be a rehearsal. On failure, a warning gives the reason.
 * @param root where the root is mounted
 */
export function beginRehearsal(
  boot: Early,
  root: string,
  { mode, disks }: Pick<Decision, 'mode' | 'disks'>,
  { MODE }: { MODE: string },
): string {
  const { reader, warn } = boot;
  const file = `${root}${request}`;
  if (reader.status(file) === undefined) return '';
  const ignore = (why: string) => {
    warn(
      `a rehearsal was requested and is not carried out, because ${why}; \`immutafs-agent prepare --end-rehearsal\` withdraws the request`,
    );
    return '';
  };
  const { mode: argument } = parseKernelArgument(readCommandLine(reader));
  if (argument === 'sealed' || argument === 'off')
    return ignore(`the kernel argument immutafs=${argument} is set`);
  if (argument === undefined && MODE !== 'auto') return ignore(`MODE=${MODE} is set`);
  if (mode !== 'maintenance') return ignore('the host made the disk read-only and seals this boot');
  if (disks.length === 0) return ignore('the disk of / is unknown');
  const link = componentsOf(request).find(([, whole]) => isLink(reader.stat(`${root}${whole}`)));
  if (link !== undefined) return ignore(`${link[1]} is a symbolic link`);
  if (!isRegular(reader.status(file))) return ignore(`${request} is not a file`);
  const [limit = ''] = reader.readAt(file, 100).split('\n');
  if (!/^[1-9]\d{0,5}$/.test(limit)) return ignore(`${request} has no valid time limit`);
  const age = onFile(file, () => boot.native.age(file));
  const failed = consume(boot, root);
  if (failed !== undefined) {
    warn(
      `a rehearsal was requested and is not carried out, because the request could not be removed: ${failed}`,
    );
    return '';
  }
  if (age <= validSeconds) return limit;
  warn('a rehearsal was requested more than a day ago and is not carried out; the request was removed');
  return '';
}

/**
 * Removes the request. The root is read-only afterwards, as in a sealed boot, even if the kernel argument rw is set.
 * @returns why this failed
 */
function consume(boot: Early, root: string): string | undefined {
  const { native, reader } = boot;
  const file = `${root}${request}`;
  const remount = (what: string, set: number, clear: number) =>
    refusalOf(() =>
      using(native, reopen(native, root), (directory) =>
        onFile(`the remount of ${root} ${what} failed`, () => native.remount(directory, set, clear)),
      ),
    )?.reason;
  const removed =
    remount('read-write', 0, readOnly) ??
    refusalOf(() => onFile(file, () => native.remove(file)))?.reason ??
    (reader.stat(file) === undefined ? undefined : `${request} still exists`);
  // In any case, because the failed call may have changed the mount. It also writes the removal to the disk.
  const sealed = remount('read-only', readOnly, 0);
  forgetInodes(boot);
  return removed ?? sealed;
}

/**
 * Makes the kernel forget the inodes that are not in use. A remount drops the names of the files that were read, but not their
 * inodes (fs/super.c, shrink_dcache_sb()). When SELinux loads its policy, kernels from 4.9 to 5.10, and RHEL 7's, cannot read the
 * label of an inode without a name, and keep it as unlabeled_t until the inode is freed (security/selinux/hooks.c,
 * inode_doinit_with_dentry()). Written twice, because the first pass only clears the mark of recent use (fs/inode.c,
 * inode_lru_isolate()).
 */
function forgetInodes({ native }: Early): void {
  const file = '/proc/sys/vm/drop_caches';
  for (const text of ['2\n', '2\n']) refusalOf(() => native.write(file, text));
}
