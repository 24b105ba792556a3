/** Which paths of OVERLAY can get an overlay, and when. */
import type { Mount } from '../../agent/facts/mounts/mount-lines.ts';
import { type FstabLine, hasOption, isAutomount } from '../guest/fstab.ts';
import { mountUnitOf } from '../guest/units.ts';
import type { BootReader } from '../native/reader.ts';

/** `now`: a directory of the root file system; `deferred`: a file system of a disk is mounted there later, or is not the root. */
export type Place =
  | { state: 'now'; why: '' }
  | { state: 'deferred'; why: '' }
  | { state: 'unneeded' | 'failed'; why: string };

/**
 * Decides about a path by what is mounted on it and on the directories above it, according to fstab, the mounts and the mount
 * units of the administrator.
 * @param root where the root is mounted; empty for /
 * @param mountAt returns the topmost mount at a path
 */
export function placeOverlay(
  { reader, fstab }: { reader: BootReader; fstab: readonly FstabLine[] },
  root: string,
  mountAt: (path: string) => Mount | undefined,
  path: string,
): Place {
  for (let above = path; above !== ''; above = above.slice(0, above.lastIndexOf('/'))) {
    const line = fstab.findLast(({ target }) => target === above);
    if (line !== undefined) return placeByFstab(line);
    if (mountAt(`${root}${above}`) !== undefined) return { state: 'deferred', why: '' };
    const unit = mountUnitOf(reader, root, above);
    if (unit === undefined) continue;
    return above === '/tmp'
      ? { state: 'unneeded', why: 'tmp.mount mounts a tmpfs on /tmp, which is in RAM' }
      : {
          state: 'failed',
          why: `${unit} mounts a file system on ${above}: write the mount as a line in /etc/fstab`,
        };
  }
  return { state: 'now', why: '' };
}

/** Late boot must not wait for the network, which starts after it. */
function placeByFstab(line: FstabLine): Place {
  const { target, type, source, isDevice } = line;
  if (type === 'tmpfs' || type === 'ramfs')
    return { state: 'unneeded', why: `${target} is in RAM (${type})` };
  if (hasOption(line, 'bind', 'rbind'))
    return {
      state: 'failed',
      why: `${target} is a bind mount in /etc/fstab: name the directory ${source}`,
    };
  if (hasOption(line, '_netdev'))
    return { state: 'unneeded', why: `${target} is on a disk of the network (${source})` };
  if (!isDevice)
    return { state: 'unneeded', why: `${target} is ${type} (${source}), which is not on the system disk` };
  if (hasOption(line, 'noauto') && !isAutomount(line))
    return { state: 'failed', why: `/etc/fstab does not mount ${target} at boot (noauto)` };
  return { state: 'deferred', why: '' };
}
