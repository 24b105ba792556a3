import { currentReportFile, rehearsalFolder, savedReportFile } from '../../agent/facts/boot/marker-files.ts';
import { onFile } from '../../agent/lib/errors.ts';
import { baseName, parentOf } from '../../agent/lib/paths.ts';
import { mountAt, readMounts } from '../guest/boot-state.ts';
import type { Context } from '../guest/command.ts';
import type { Guest } from '../guest/guest.ts';
import { flagsOf } from '../guest/mount.ts';
import { makeDirectories, reopen, using } from '../native/directories.ts';
import { refusalOf, refuse } from '../native/refusal.ts';

/*
 * A rehearsal mounts the system disk read-only, but the host left it writable. A file system that is mounted read-only is read-only
 * twice: in its superblock, and in each of its mounts. Remounting a bind mount read-write changes the superblock and only this mount
 * (fs/namespace.c, do_remount(), since 2.6.15). saveReport makes a bind mount of one directory in its own mount namespace, where no
 * other process sees it. All mounts of other processes keep their own flag and refuse writes meanwhile. It finds the directory in a bind
 * mount of /, which does not have the mounts below /, because an overlay may cover /etc.
 */

const disk = '/run/immutafs/system-disk';
const folder = `${disk}${rehearsalFolder}`;
const mostBytes = 64 * 1024 * 1024;
const [readOnly, flags] = [flagsOf('ro'), flagsOf('ro,nosuid,nodev,noexec')];

/** The exit codes of save-rehearsal. */
export const [saved, notSaved, writable] = [0, 1, 2];

/**
 * Writes the report of a rehearsal to the system disk.
 * @param isSeal only makes the file system read-only again, in case an earlier run was killed
 * @returns an exit code: 2 if the superblock could not be made read-only again
 */
export function saveReport(context: Context, isSeal: boolean): number {
  const { native } = context;
  // Otherwise the bind mount would propagate to the namespace of systemd.
  native.unshareMounts();
  let directory = -1;
  const unsafe = refusalOf(() => {
    directory = bindFolder(context);
  });
  if (unsafe !== undefined) {
    report(context, unsafe.reason);
    return notSaved;
  }
  // A signal must not end the program while the superblock is writable.
  native.ignoreSignals();
  const failed = isSeal ? undefined : refusalOf(() => save(context, directory));
  if (failed !== undefined) report(context, `${savedReportFile} cannot be written: ${failed.reason}`);
  const left = refusalOf(() => onFile(rehearsalFolder, () => native.remount(directory, readOnly, 0)));
  if (left !== undefined) report(context, `the file system may be writable: ${left.reason}`);
  return left !== undefined ? writable : failed === undefined ? saved : notSaved;
}

function report({ native }: Context, text: string): void {
  native.print(2, `save-rehearsal: ${text}\n`);
}

/** Binds the directory of the disk to itself. @returns the open directory, in the new mount */
function bindFolder(context: Context): number {
  const { native } = context;
  checkMounts(context);
  makeDirectories(native, disk);
  bind(native, '/', disk);
  if (refusalOf(() => reopen(native, folder)) !== undefined)
    refuse(`${rehearsalFolder} is not a directory, the report is not saved on the disk`, '');
  bind(native, folder, folder);
  return reopen(native, folder);
}

function bind(native: Guest['native'], from: string, to: string): void {
  using(native, reopen(native, from), (source) =>
    using(native, reopen(native, to), (target) => onFile(to, () => native.bind(source, target, flags))),
  );
}

/**
 * Every mount of the root file system must be read-only itself, because only then no other process can write to it when the superblock
 * is writable.
 */
function checkMounts({ reader }: Context): void {
  const mounts = readMounts(reader);
  const device = mountAt(mounts, '/')?.device;
  const open = mounts.find((mount) => mount.device === device && !mount.options.includes('ro'));
  if (open !== undefined)
    refuse(`${open.target} is mounted read-write, the report is not saved on the disk`, '');
}

/**
 * A power cut leaves the old or the new report, because the content is on the disk before the name changes. The remount writes out the new
 * name.
 */
function save({ native }: Context, directory: number): void {
  const unfinished = '.report.json.new';
  onFile(rehearsalFolder, () => native.remount(directory, 0, readOnly));
  using(native, reopen(native, parentOf(currentReportFile)), (from) =>
    onFile(currentReportFile, () =>
      native.copyFile(from, baseName(currentReportFile), directory, unfinished, 0o600, mostBytes),
    ),
  );
  onFile(savedReportFile, () => {
    native.sync(directory);
    native.rename(directory, unfinished, baseName(savedReportFile));
  });
}
