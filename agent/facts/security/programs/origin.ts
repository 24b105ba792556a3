import { unlessSystemError } from '../../../lib/errors.ts';
import type { MappedFile } from '../../../system/mapped-files.ts';
import type { SystemReader } from '../../../system/reader.ts';
import { type Mount, type MountTable, isBelow, optionOf } from '../../mounts/mountinfo.ts';
import { deletedSuffix } from './layer-files.ts';

/**
 * Where a file is that did not come from the sealed disk. `memfd`: in memory, without a name in any file system
 * (memfd_create(2)). `deleted`: it has no name any more. `other-namespace`: on a file system that is not mounted in the
 * mount namespace of the agent. `memory`: on a file system in memory, or in the layer of an overlay. `not-sealed`: on
 * a file system that the host did not make read-only. `session`: the
 * process is in a session with temporary tools (facts/sessions.ts).
 */
type Why = 'memfd' | 'deleted' | 'other-namespace' | 'memory' | 'not-sealed' | 'session';

export interface Origin {
  why: Why;
  /** The same in words, with the file system. */
  reason: string;
}

/** Finds out where a file is that is not proven to be on the sealed disk. */
export function originOf({ path, device }: Pick<MappedFile, 'path' | 'device'>, mounts: MountTable): Origin {
  const mount = mountOf(path, device, mounts);
  if (isMemfd(path) && mount === undefined) {
    return { why: 'memfd', reason: 'memfd, in memory only' };
  }
  if (path.endsWith(deletedSuffix)) return { why: 'deleted', reason: 'deleted' };
  if (mount === undefined) {
    return { why: 'other-namespace', reason: 'on a file system of another mount namespace' };
  }
  const { type, target } = mount;
  if (type === 'overlay') return { why: 'memory', reason: `changed in the overlay at ${target}` };
  if (['tmpfs', 'ramfs', 'rootfs', 'devtmpfs', 'hugetlbfs'].includes(type)) {
    return { why: 'memory', reason: `in memory, ${type} at ${target}` };
  }
  return { why: 'not-sealed', reason: `${type} at ${target}` };
}

export function isMemfd(path: string): boolean {
  return path.startsWith('/memfd:');
}

/**
 * Whether the path that the kernel shows leads to the file in the mount namespace of the agent. False for a deleted
 * file, and for a file of another mount namespace, which can have any path.
 */
export function isAtItsPath(reader: SystemReader, mounts: MountTable, file: MappedFile): boolean {
  const mount = mounts.serving(file.path);
  if (mount === undefined || file.path.endsWith(deletedSuffix)) return false;
  if (mount.device !== file.device)
    return mount.type === 'overlay' && upperDevice(mount, mounts) === file.device;
  // Not known on a file system that may hang.
  const inode = unlessSystemError(() => reader.stat(file.path)?.inode ?? -1);
  return inode === undefined || inode === file.inode;
}

/** Returns the mount of a file: the one that serves its path if possible, else any mount of its file system. */
function mountOf(path: string, device: string, mounts: MountTable): Mount | undefined {
  const serving = path.startsWith('/') ? mounts.serving(path) : undefined;
  if (serving?.type === 'overlay' && upperDevice(serving, mounts) === device) return serving;
  const all = mounts.all.filter((mount) => mount.device === device);
  return all.find(({ target }) => isBelow(path, target)) ?? all[0];
}

/** Returns the device of the upper layer of an overlay, which kernels before 6.7 show instead of the overlay's own. */
function upperDevice(mount: Mount, mounts: MountTable): string | undefined {
  const upper = optionOf(mount, 'upperdir');
  return upper?.startsWith('/') === true ? mounts.serving(upper)?.device : undefined;
}
