import { unlessHostError } from '../../../lib/errors.ts';
import type { Stat, SystemReader } from '../../../system/reader.ts';
import { type Mount, type MountTable, isBelow } from '../../mounts/mountinfo.ts';

/** The suffix that the kernel appends to the path of a file that has no name any more (d_path()). */
export const deletedSuffix = ' (deleted)';

/**
 * Whether a file on an overlay is a file of the sealed disk that nothing has changed since. Kernels before 6.7 show the
 * device of the layer in /proc/PID/maps; later kernels show the overlay's own, and the layer must be found. The overlay
 * reports the attributes of the file in its layer, and a copy in the upper layer has a ctime that no process can set, so
 * a file of the lower layer with the same attributes is the file itself. A path alone proves nothing: a process in
 * another mount namespace can give any path to a file.
 * @param path as the kernel shows it
 * @param stat the file that is mapped or executed
 */
export function isUnchangedInLayer(
  reader: SystemReader,
  mounts: MountTable,
  sealed: ReadonlySet<string>,
  path: string,
  stat: Stat,
): boolean {
  const name = path.endsWith(deletedSuffix) ? path.slice(0, -deletedSuffix.length) : path;
  const overlays = mounts.all.filter(({ type, target }) => type === 'overlay' && isBelow(name, target));
  return overlays.some((overlay) => {
    const inside = `${overlay.root === '/' ? '' : overlay.root}${name.slice(overlay.target.length)}`;
    return lowerLayers(overlay).some(
      (lower) =>
        sealed.has(mounts.serving(lower)?.device ?? '') &&
        unlessHostError(() => isSameFile(stat, reader.stat(`${lower}${inside}`))) === true,
    );
  });
}

function isSameFile(one: Stat, other: Stat | undefined): boolean {
  const { bytes, changed, modified, mode, uid, gid } = one;
  return (
    other?.kind === 'file' &&
    one.kind === 'file' &&
    other.bytes === bytes &&
    other.changed === changed &&
    other.modified === modified &&
    other.mode === mode &&
    other.uid === uid &&
    other.gid === gid
  );
}

function lowerLayers({ superOptions }: Mount): string[] {
  return superOptions
    .filter((option) => option.startsWith('lowerdir=') || option.startsWith('lowerdir+='))
    .flatMap((option) => option.slice(option.indexOf('=') + 1).split(':'))
    .filter((folder) => folder.startsWith('/'));
}
