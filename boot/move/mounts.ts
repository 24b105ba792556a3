/** The directories and mounts that the agent needs while it moves data (agent/prepare/move/views.ts). */
import { UsageError, onFile } from '../../agent/lib/errors.ts';
import { baseName, parentOf } from '../../agent/lib/paths.ts';
import type { Context } from '../guest/command.ts';
import { parseOptions } from '../guest/mount.ts';
import { makeDirectories, reopen, using } from '../native/directories.ts';
import { copyTop } from '../persist/copy.ts';

/**
 * Makes a directory, unless it exists. Only root can enter it; or it has the owner, mode, SELinux label and access control lists
 * of another directory.
 * @throws Refused, SystemError
 */
export function makeDirectory(context: Context, path: string, like: string | undefined): void {
  const { native } = context;
  using(native, reopen(native, parentOf(path)), (above) => {
    if (native.describe(above, baseName(path)) === undefined)
      onFile(path, () => native.makeDirectoryAt(above, baseName(path), 0o700));
  });
  using(native, reopen(native, path), (directory) => {
    if (like === undefined) onFile(path, () => native.setOwner(directory, 0, 0, 0o700));
    else
      using(native, reopen(native, like), (model) => onFile(path, () => copyTop(context, directory, model)));
  });
}

/** Binds a directory, without the mounts below it, to a new directory that only root can enter. @throws Refused, SystemError */
export function makeView(context: Context, options: string, source: string, path: string): void {
  const { native } = context;
  makeMountPoint(context, path);
  using(native, reopen(native, source), (directory) =>
    using(native, reopen(native, path), (target) =>
      onFile(path, () => native.bind(directory, target, knownFlags(options))),
    ),
  );
}

/** Mounts a file system on a new directory that only root can enter. @throws Refused, SystemError */
export function mountVolume(
  context: Context,
  volume: { options: string; type: string; device: string },
  path: string,
): void {
  const { native } = context;
  makeMountPoint(context, path);
  using(native, reopen(native, path), (target) =>
    onFile(path, () => native.mountAt(target, volume.device, volume.type, knownFlags(volume.options), '')),
  );
}

/** @throws UsageError for an option that is not one of a mount */
function knownFlags(options: string): number {
  const { flags, data } = parseOptions(options, true);
  if (data !== '') throw new UsageError(`unknown options ${data}`);
  return flags;
}

function makeMountPoint(context: Context, path: string): void {
  makeDirectories(context.native, parentOf(parentOf(path)));
  makeDirectory(context, parentOf(path), undefined);
  makeDirectory(context, path, undefined);
}
