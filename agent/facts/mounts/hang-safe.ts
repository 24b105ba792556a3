import { cached } from '../../lib/cached.ts';
import { SystemError } from '../../lib/errors.ts';
import { decodeBytes } from '../../lib/format.ts';
import type { SystemReader } from '../../system/reader.ts';
import { type Mount, type MountTable, lowersOf, optionOf } from './mountinfo.ts';

/** SystemError.code of an access that hangSafe() prevented. */
export const mayHangCode = 'MAY_HANG';

/**
 * Returns a reader that does not access file systems that may hang, except for "/" itself. Reads are synchronous, so a
 * server that does not respond blocks the agent. A call whose path leads to such a file system, directly or through a
 * symbolic link, fails immediately. Lists every method of SystemReader explicitly, so that no new method bypasses the
 * check.
 * @throws SystemError MAY_HANG from each call that would access such a file system
 */
export function hangSafe(reader: SystemReader, mounts: MountTable): SystemReader {
  const hanging = findHanging(mounts);
  if (hanging.isEmpty) return reader;
  const checkAt = (file: string) => (reached: string) => {
    const mount = hanging.enteredAt(reached);
    if (mount === undefined) return;
    const by = reached === file || file.startsWith(`${reached}/`) ? '' : ' (reached through a symbolic link)';
    throw new SystemError(
      `${file}: not accessed, because ${mount.type} at ${mount.target} may hang${by}`,
      mayHangCode,
    );
  };
  const readLink = cached((file: string) =>
    reader.stat(file)?.kind === 'link' ? reader.link(file) : undefined,
  );
  const follow = (file: string) => followLinks(file, readLink, checkAt(file), 'follow the last');
  const followDirectory = (file: string) => followLinks(file, readLink, checkAt(file), 'keep the last');
  /** Wraps a method so that it first checks the path of the file. */
  const after = <Rest extends unknown[], Result>(
    check: (file: string) => void,
    call: (file: string, ...rest: Rest) => Result,
  ) => {
    return (file: string, ...rest: Rest): Result => {
      check(file);
      return call(file, ...rest);
    };
  };
  return {
    read: after(follow, reader.read),
    readIfPresent: after(follow, reader.readIfPresent),
    readRecord: after(followDirectory, reader.readRecord),
    readAt: after(follow, reader.readAt),
    pieces: after(follow, reader.pieces),
    list: after(follow, reader.list),
    // A path whose bytes are not UTF-8 is that of no mount point in the table.
    listBytes: after((file) => follow(decodeBytes(file)), reader.listBytes),
    hasEntries: after(follow, reader.hasEntries),
    link: after(followDirectory, reader.link),
    resolve: after(follow, reader.resolve),
    stat: after(followDirectory, reader.stat),
    statBytes: after((file) => followDirectory(decodeBytes(file)), reader.statBytes),
    usage: after(follow, reader.usage),
    kernelLog: () => {
      follow('/dev/kmsg');
      return reader.kernelLog();
    },
    deviceTables: () => {
      follow('/dev/mapper/control');
      return reader.deviceTables();
    },
    // Files of procfs do not hang. The caller verifies the file system before it follows a link (statOf).
    processes: reader.processes,
    // These methods use child processes, which are abandoned on timeout.
    tryWrites: reader.tryWrites,
    probe: reader.probe,
    run: reader.run,
    environment: reader.environment,
    now: reader.now,
  };
}

/**
 * Finds the mounts whose file systems may never respond. Omits "/", because the agent itself is started from there.
 */
export function findHanging(mounts: MountTable) {
  const hangs = hangingTest(mounts);
  const targets = new Set<string>();
  for (const mount of mounts.all) if (mount.target !== '/' && hangs(mount)) targets.add(mount.target);
  return {
    isEmpty: targets.size === 0,
    /** Returns the visible mount at a mount point if its file system may hang. */
    enteredAt: (path: string): Mount | undefined => {
      if (!targets.has(path)) return undefined;
      const mount = mounts.serving(path);
      return mount !== undefined && mount.target === path && hangs(mount) ? mount : undefined;
    },
  };
}

/** Whether access to a file system may wait for a server or for another process. */
export function mayHang({ type }: Pick<Mount, 'type'>): boolean {
  return /^(nfs4?|cifs|smb3|smbfs|ceph|glusterfs|9p|virtiofs|afs|lustre|gfs2|ocfs2|gpfs|autofs|fuse(blk)?|fuse\..*)$/.test(
    type,
  );
}

/** Upper bound on nested overlays, larger than the limit of the kernel (FILESYSTEM_MAX_STACK_DEPTH). */
const maximumDepth = 10;

/**
 * Returns a function that decides whether the file system of a mount, or a layer of an overlay, may hang. Evaluates
 * each overlay and each type of file system once.
 */
function hangingTest(mounts: MountTable): (mount: Mount) => boolean {
  const isHangingType = cached((type: string) => mayHang({ type }));
  // Mounts of the same overlay share one list of options, which serves as the key.
  const overlays = new Map<readonly string[], boolean>();
  const hangs = (mount: Mount, depth = 0): boolean => {
    if (mount.type !== 'overlay') return isHangingType(mount.type);
    const known = overlays.get(mount.superOptions);
    if (known !== undefined) return known;
    if (depth > maximumDepth) return true;
    // Set before the layers are evaluated, so that a layer inside the same overlay does not cause endless recursion.
    overlays.set(mount.superOptions, false);
    const found = layers(mount).some((layer) => {
      const serving = mounts.serving(layer);
      return serving !== undefined && serving !== mount && hangs(serving, depth + 1);
    });
    overlays.set(mount.superOptions, found);
    return found;
  };
  return (mount) => hangs(mount);
}

/** Returns the layers of an overlay that have absolute paths. */
function layers(mount: Mount): string[] {
  return [...lowersOf(mount), optionOf(mount, 'upperdir') ?? ''].filter((layer) => layer.startsWith('/'));
}

/** MAXSYMLINKS in the kernel (linux/namei.h). */
const mostLinks = 40;

/**
 * Resolves a path component by component, as the kernel does (path_resolution(7)).
 * @param file absolute path
 * @param readLink returns the content of a symbolic link; undefined if the file is not a symbolic link
 * @param enter called with each path before the path is accessed; an error that `enter` throws ends the resolution
 * @param last whether a symbolic link in the last component is followed
 * @returns the path without symbolic links
 * @throws SystemError ELOOP if the path has too many symbolic links
 */
function followLinks(
  file: string,
  readLink: (file: string) => string | undefined,
  enter: (file: string) => void,
  last: 'follow the last' | 'keep the last',
): string {
  let remaining = components(file);
  let at = '';
  let links = 0;
  for (let name = remaining.shift(); name !== undefined; name = remaining.shift()) {
    if (name === '..') {
      at = at.slice(0, Math.max(0, at.lastIndexOf('/')));
      continue;
    }
    const next = `${at}/${name}`;
    enter(next);
    const isKept = remaining.length === 0 && last === 'keep the last';
    const target = isKept ? undefined : readLink(next);
    if (target === undefined) {
      at = next;
      continue;
    }
    links += 1;
    if (links > mostLinks) throw new SystemError(`${file}: too many levels of symbolic links`, 'ELOOP');
    remaining = [...components(target), ...remaining];
    if (target.startsWith('/')) at = '';
  }
  return at === '' ? '/' : at;
}

function components(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.');
}
