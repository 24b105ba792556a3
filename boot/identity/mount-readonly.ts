/**
 * Mounts a file system of a read-only disk before systemd does, if necessary without replaying its log. If this does not mount the
 * file system, systemd does.
 */
import { unescapeBytes } from '../../agent/lib/octal.ts';
import { noteImpostor } from '../guest/boot-env.ts';
import { mountAt, readCommandLine, readMounts } from '../guest/boot-state.ts';
import type { Context, Early } from '../guest/command.ts';
import { deviceLineOf, disksOfSource, isDeviceSource, readFstab, sourceFile } from '../guest/fstab.ts';
import { mountReadOnly } from '../guest/mount.ts';
import { settle } from '../guest/udev.ts';
import { isBlock } from '../native/reader.ts';
import { releaseForeignMembers } from './foreign-members.ts';
import { rootArguments } from './identity.ts';
import { configureLvm } from './lvm-config.ts';
import { activateSealedGroups, hasSealedVolumes } from './lvm.ts';

/**
 * The limit of each wait for udev, in seconds. udev takes a few seconds, and ten times as long on an overloaded host. Nothing
 * waits when udev has processed all devices.
 */
export const udevSeconds = 90;

/** In the initramfs: mounts the root and its /usr at /sysroot. */
export function mountRoot(boot: Early): void {
  const root = rootArguments(readCommandLine(boot.reader));
  if (!isDeviceSource(root.source)) return;
  const isOff = root.mode === 'off';
  if (!isOff) waitForSealed(boot, root.source);
  mountSource(boot, '/sysroot', root);
  // A separate /usr is listed in the fstab of the root.
  const line = deviceLineOf(readFstab(boot.reader, '/sysroot/etc/fstab'), '/usr');
  if (line === undefined) return;
  if (!isOff) waitForSealed(boot, line.source);
  mountSource(boot, '/sysroot/usr', { ...line, options: unescapeBytes(line.options) });
}

/** In the real root: mounts the file system that fstab mounts on a target. */
export function mountFromFstab(context: Context, target: string): void {
  const line = deviceLineOf(readFstab(context.reader), target);
  if (line !== undefined) mountSource(context, target, { ...line, options: unescapeBytes(line.options) });
}

/**
 * Waits for a sealed disk that udev has not processed yet, or whose volume group is not active, because a copy on a writable disk
 * may have appeared first.
 */
function waitForSealed(boot: Early, source: string): void {
  const { reader } = boot;
  const sealed = () => {
    const found = disksOfSource(reader, source);
    return found?.state === 'sealed' ? found.file : undefined;
  };
  releaseForeignMembers(boot);
  if (sealed() !== undefined) return;
  const first = disksOfSource(reader, source)?.file ?? sourceFile(reader, source).file;
  settle(boot, udevSeconds);
  releaseForeignMembers(boot);
  if (sealed() === undefined && hasSealedVolumes(reader)) {
    configureLvm(boot);
    activateSealedGroups(boot);
    settle(boot, udevSeconds);
  }
  const sealedDevice = sealed();
  if (sealedDevice === undefined || sealedDevice === first || !isBlock(reader.status(first))) return;
  noteImpostor(boot, { device: first, sealedDevice, identity: source });
}

function mountSource(
  context: Context,
  target: string,
  { source, options, type }: { source: string; options: string; type: string },
): void {
  const { reader } = context;
  const found = disksOfSource(reader, source);
  if (found === undefined || found.state === 'writable') return;
  if (mountAt(readMounts(reader), target) === undefined)
    mountReadOnly(context, { options, type, file: found.file }, target);
}
