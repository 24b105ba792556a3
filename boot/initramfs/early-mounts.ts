/**
 * The mounts that the initramfs makes in addition to the overlays: the LVM configuration of this boot, read-only file systems in
 * fstab, mount options, and what hides EFI variables.
 */
import { itemOptions, pathOf } from '../../agent/config/boot-keys.ts';
import { overlayPaths } from '../../agent/config/overlay-paths.ts';
import { onFile } from '../../agent/lib/errors.ts';
import { unescapeBytes } from '../../agent/lib/octal.ts';
import { isBelow } from '../../agent/lib/paths.ts';
import { appendBootEnv } from '../guest/boot-env.ts';
import { mountAt, readMounts } from '../guest/boot-state.ts';
import type { Context, Early } from '../guest/command.ts';
import { mountOptionItems } from '../guest/config.ts';
import { type FstabLine, disksOfSource, hasOption, isAutomount } from '../guest/fstab.ts';
import { bindFile, flagsOf, mountReadOnly } from '../guest/mount.ts';
import { lvmlocal, writeLocalConfig } from '../identity/lvm-config.ts';
import { openDirectory, reopen, using } from '../native/directories.ts';
import { isDirectory } from '../native/reader.ts';
import { refusalOf } from '../native/refusal.ts';
import type { Boot } from './layers.ts';

const localFlags = flagsOf('ro,nosuid,nodev,noexec');

/**
 * Bind-mounts the LVM configuration of this boot over lvmlocal.conf of the real root, so that LVM does not try to make read-only
 * volumes writable. On virtio-blk, LVM would succeed and reload the table of the root while the root is in use.
 */
export function bindLocalConfig(boot: Boot & Early, isSealed: boolean): void {
  const { reader, root } = boot;
  const [file, target] = ['/etc/lvm/lvmlocal.conf', `${root}/etc/lvm/lvmlocal.conf`];
  // Without LVM there is nothing to configure.
  if (!isDirectory(reader.status(`${root}/etc/lvm`))) return;
  let problem: string | undefined;
  const refusal = refusalOf(() => {
    if (!writeLocalConfig(boot, root, isSealed)) return;
    if (reader.stat(target) === undefined) problem = `${file} does not exist (an empty file is enough)`;
    else if (refusalOf(() => bindFile(boot, lvmlocal, target, localFlags)) !== undefined)
      problem = `${file}: the bind mount failed`;
  });
  const found = refusal?.reason ?? problem;
  if (found !== undefined)
    appendBootEnv(
      boot,
      'WARNING',
      `${found}: LVM does not know which volumes are read-only, and may fail to activate them`,
    );
}

/**
 * Mounts the file systems that fstab mounts directly below / (such as /boot) if their disk is read-only and present. systemd finds
 * these mounts when it starts. If systemd mounted the file systems itself, the boot would wait until systemd notices the new
 * mounts, because it reads mountinfo at most five times a second (systemd, src/core/mount.c).
 */
export function mountReadOnlyEarly(boot: Boot): void {
  const { reader, root, fstab, config } = boot;
  // Late boot mounts a file system of OVERLAY as a lower layer.
  const overlaid = overlayPaths(config).map(({ target }) => target);
  for (const line of fstab) {
    const { source, target, type, options } = line;
    if (!/^\/[^/]+$/.test(target) || target === '/var' || !/^(?:xfs|ext[34])$/.test(type)) continue;
    if (hasOption(line, 'noauto') || isAutomount(line) || overlaid.includes(target) || !line.isDevice)
      continue;
    const found = disksOfSource(reader, source);
    if (found === undefined || found.state === 'writable') continue;
    if (mountAt(readMounts(reader), `${root}${target}`) === undefined)
      mountReadOnly(boot, { file: found.file, type, options: unescapeBytes(options) }, `${root}${target}`);
  }
}

/** Sets options of mounts of the initramfs that the real root keeps. The check mount-options fails for the others. */
export function setMountOptionsEarly(boot: Boot, isOverlay: boolean): void {
  const { reader, root, config, fstab } = boot;
  const mounts = readMounts(reader);
  for (const item of mountOptionItems(config)) {
    const [path, options] = [pathOf(item), itemOptions(item)];
    // systemd mounts it for each user.
    if (path === '/run/user/*') continue;
    const isKernels = isBelow(path, '/dev') || isBelow(path, '/run');
    const target = isKernels ? path : `${root}${path}`;
    if (isKernels ? mountAt(mounts, path) === undefined : !isBelow(path, '/var')) continue;
    if (!isKernels && (!isOverlay || isMountedByFstab(fstab, path))) continue;
    const refusal = refusalOf(() => setMountOptions(boot, target, options));
    if (refusal !== undefined)
      appendBootEnv(boot, 'WARNING', `MOUNT_OPTIONS could not be set for ${path}: ${refusal.reason}`);
  }
}

/** Whether fstab mounts a file system on a path or on a directory between /var and the path. */
export function isMountedByFstab(fstab: readonly FstabLine[], path: string): boolean {
  return fstab.some(
    (line) => line.target.startsWith('/var/') && isBelow(path, line.target) && !hasOption(line, 'noauto'),
  );
}

/**
 * Adds options to the mount at a path; `exec` removes noexec. A directory that is not a mount point becomes one. A path that does not
 * exist is skipped.
 */
export function setMountOptions({ native }: Context, path: string, options: readonly string[]): void {
  const directory = openDirectory(native, path);
  if (directory === undefined) return;
  const set = flagsOf(options.join());
  const cleared = options.includes('exec') ? flagsOf('noexec') : 0;
  using(native, directory, () => onFile(path, () => native.setOptions(directory, set, cleared)));
}

/**
 * Hides the EFI variable from which systemd reads kernel arguments. Root can write the variable, and its value persists across
 * reboots.
 *
 * systemd 246 to 257: when PID 1 of the real root starts, it copies the variable from efivarfs to /run/systemd/efivars. PID 1 and
 * its generators read the copy (src/basic/efivars.c, cache_efi_options_variable). This function mounts an empty tmpfs over
 * efivarfs, so that PID 1 neither finds the variable nor mounts efivarfs, and empties the copy that PID 1 of the initramfs made.
 */
export function hideSystemdOptions(boot: Context): void {
  const { native, reader } = boot;
  const efivars = '/sys/firmware/efi/efivars';
  const name = 'SystemdOptions-8cf2644b-4b0b-428f-9387-6d876050dc67';
  const cached = `/run/systemd/efivars/${name}`;
  const isCached = reader.stat(cached) !== undefined;
  if (!isCached && reader.stat(`${efivars}/${name}`) === undefined) return;
  const refusal = refusalOf(() => {
    if (isCached) native.write(cached, '');
    using(native, reopen(native, efivars), (directory) =>
      native.mountAt(directory, 'immutafs', 'tmpfs', flagsOf('ro,nosuid,nodev,noexec'), 'size=4k,mode=0555'),
    );
  });
  const effect =
    refusal === undefined
      ? 'the rest of the boot does not see it'
      : 'it could not be hidden and is in effect';
  appendBootEnv(
    boot,
    'WARNING',
    `the EFI variable SystemdOptions is set, which adds kernel arguments: ${effect}`,
  );
}
