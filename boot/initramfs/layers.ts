/** Mounts an overlay with its layers, or a placeholder if the disk's own directory cannot be read. */
import { layersTmpfs, directoriesOf } from '../../agent/facts/boot/layer-paths.ts';
import { onFile } from '../../agent/lib/errors.ts';
import { unescapeBytes } from '../../agent/lib/octal.ts';
import { namesIfReadable } from '../../agent/system/names.ts';
import { appendBootEnv } from '../guest/boot-env.ts';
import { mountAt, readMounts } from '../guest/boot-state.ts';
import type { Context } from '../guest/command.ts';
import type { BootConfig } from '../guest/config.ts';
import { type FstabLine, disksOfSource, sourceFile } from '../guest/fstab.ts';
import { afterUncleanSeal, flagsOf, mountOn } from '../guest/mount.ts';
import { restoreLabels } from '../guest/selinux.ts';
import { describe, makeDirectories, openDirectory, reopen, using } from '../native/directories.ts';
import { runProgram } from '../native/programs.ts';
import { Refused, refusalOf, refuse } from '../native/refusal.ts';

/** What the boot mounts overlays with. */
export interface Boot extends Context {
  /** Where the root is mounted; empty for /. */
  root: string;
  config: BootConfig['values'];
  fstab: readonly FstabLine[];
}

/** The options of a lower layer that is a separate file system. */
const lowerOptions = 'ro,nosuid,nodev,noexec';

/** The directory on the disk cannot be read, so that systemd could not mount or use it either. */
export class Unreadable extends Refused {}

/**
 * Mounts the overlay on /var or on a directory below it. On failure, undoes its mounts.
 * @param line the line of fstab that mounts the lower layer; undefined for the root's own directory
 * @throws Refused, Unreadable, SystemError
 */
export function assemble(boot: Boot, target: string, line: FstabLine | undefined): void {
  const { native, reader, root, config } = boot;
  const { lower, upper, work } = directoriesOf(target);
  const undo: (() => void)[] = [];
  try {
    loadOverlay(boot);
    // A lower layer left by a run that was killed.
    while (mountAt(readMounts(reader), lower) !== undefined) onFile(lower, () => native.unmount(lower));
    for (const directory of [lower, layersTmpfs]) {
      const isNew = reader.stat(directory) === undefined;
      makeDirectories(native, directory);
      if (isNew) undo.push(() => native.detach(directory));
    }
    if (line === undefined) bindLower(boot, `${root}${target}`, lower);
    else mountLowerVolume(boot, target, line, lower, lowerOptions);
    undo.push(() => native.detach(lower));
    if (provideTmpfs(boot)) undo.push(() => native.detach(layersTmpfs));
    mountOverlay(boot, `${root}${target}`, { lower, upper, work }, config.VAR_OPTIONS);
  } catch (error) {
    for (const step of undo.toReversed()) refusalOf(step);
    throw error;
  }
}

/** @throws Refused if the kernel has no overlay file system */
export function loadOverlay({ native, reader }: Context): void {
  const isLoaded = () => /(?:^|\t)overlay$/m.test(reader.read('/proc/filesystems'));
  if (isLoaded()) return;
  const { code, output } = runProgram(native, 30, 'modprobe', 'overlay');
  if (isLoaded()) return;
  const said = output.trim().replaceAll('\n', ' ') || 'no message';
  const failed = code === 0 ? '' : `: modprobe failed: ${said}`;
  refuse(`the kernel has no overlay file system${failed}`, '');
}

/** Mounts the tmpfs with the upper layers. @returns whether it was not mounted */
export function provideTmpfs({ native, reader, config }: Boot): boolean {
  if (mountAt(readMounts(reader), layersTmpfs)?.type === 'tmpfs') return false;
  makeDirectories(native, layersTmpfs);
  const options = `size=${config.VAR_SIZE},nr_inodes=${config.VAR_INODES},mode=0700`;
  using(native, reopen(native, layersTmpfs), (directory) =>
    onFile(`the mount of the tmpfs on ${layersTmpfs} failed`, () =>
      native.mountAt(directory, 'immutafs', 'tmpfs', flagsOf('nosuid,nodev,noexec'), options),
    ),
  );
  return true;
}

/** Binds the root's own directory as a lower layer. */
function bindLower({ native }: Boot, source: string, lower: string): void {
  const unreadable = (why: string): never => {
    throw new Unreadable(`${source} on the disk is not a readable directory: ${why}`, '');
  };
  let found: number | undefined;
  const refusal = refusalOf(() => {
    found = openDirectory(native, source);
  });
  if (refusal !== undefined) unreadable(refusal.reason);
  const directory = found ?? unreadable('No such file or directory');
  using(native, directory, () =>
    using(native, reopen(native, lower), (target) =>
      onFile(`the bind mount of ${source} failed`, () =>
        native.bind(directory, target, flagsOf(lowerOptions)),
      ),
    ),
  );
}

/** Mounts the file system of a line of fstab as a lower layer. @param target the path, for boot.env */
export function mountLowerVolume(
  boot: Context,
  target: string,
  line: FstabLine,
  lower: string,
  options: string,
): void {
  // By the device node of the sealed disk, if there is one.
  const found = disksOfSource(boot.reader, line.source);
  if (found === undefined)
    refuse(`${sourceFile(boot.reader, line.source).file} does not exist, or its disks are unknown`, '');
  else {
    const given = line.options === '' ? '' : `${unescapeBytes(line.options)},`;
    const fileSystem = { file: found.file, type: line.type, options: `${given}${options}` };
    const mounted = mountOn(boot, fileSystem, lower);
    if (mounted.as === 'failed') throw new Unreadable(mounted.reason, '');
    if (mounted.as === 'norecovery')
      appendBootEnv(
        boot,
        'WARNING',
        `${target}: mounted with norecovery, it was not unmounted cleanly before it was sealed. ${afterUncleanSeal}`,
      );
  }
}

/**
 * Makes the directories of the upper layer, and mounts the overlay. The root directory of an overlay has the mode and owner of its
 * upper layer.
 * @param options of the mount
 */
export function mountOverlay(
  { native, reader }: Context,
  target: string,
  { lower, upper, work }: { lower: string; upper: string; work: string },
  options: string,
): void {
  using(native, reopen(native, lower), (directory) => {
    const found = describe(native, directory, '');
    if (found === undefined) throw new Unreadable(`${lower} cannot be read`, '');
    // For a damaged directory block, ext4 may list nothing and report no error (fs/ext4/dir.c). Btrfs alone does not count
    // subdirectories as links.
    if (onFile(lower, () => native.links(directory)) > 2 && namesIfReadable(reader, lower).length === 0)
      throw new Unreadable(`${lower} has subdirectories, but its entries cannot be read`, '');
    const { user, group, mode } = found;
    makeDirectories(native, upper);
    makeDirectories(native, work);
    using(native, reopen(native, upper), (made) =>
      onFile(upper, () => native.setOwner(made, user, group, mode)),
    );
  });
  using(native, reopen(native, target), (directory) =>
    onFile(`the mount of the overlay on ${target} failed`, () =>
      native.mountAt(
        directory,
        'immutafs',
        'overlay',
        flagsOf(options),
        `lowerdir=${lower},upperdir=${upper},workdir=${work}`,
      ),
    ),
  );
}

/**
 * Mounts an empty, read-only tmpfs in place of a file system that cannot be read, because systemd could not mount that file system
 * either and the boot would end. The tmpfs contains the mount points below the target, and for /var the directories and links
 * that D-Bus of RHEL 7 and sshd of RHEL 7 and 8 need.
 */
export function mountPlaceholder(boot: Boot, target: string): void {
  const { native } = boot;
  const flags = flagsOf('ro,nosuid,nodev,noexec');
  refusalOf(() => {
    using(native, reopen(native, target), (directory) =>
      native.mountAt(directory, 'immutafs', 'tmpfs', flagsOf('nosuid,nodev,noexec'), 'mode=0755'),
    );
    for (const line of boot.fstab)
      if (line.target.startsWith(`${target}/`)) makeDirectories(native, line.target);
    restoreLabels(boot, [target]);
    if (target === '/var') {
      makeDirectories(native, '/var/empty', 0o711);
      makeDirectories(native, '/var/empty/sshd', 0o711);
      native.link('/run', '/var/run');
      native.link('/run/lock', '/var/lock');
      restoreLabels(
        boot,
        boot.reader.list('/var').map((name) => `/var/${name}`),
      );
    }
    using(native, reopen(native, target), (directory) => native.setOptions(directory, flags, 0));
  });
}
