import { onFile, unlessSystemError } from '../../../lib/errors.ts';
import type { Stat, SystemReader } from '../../../system/reader.ts';
import { type MountTable, isBelow, lowersOf, optionOf } from '../../mounts/mountinfo.ts';

/** The suffix that the kernel appends to the path of a file that has no name any more (d_path()). */
export const deletedSuffix = ' (deleted)';

/** A file that a process executes. */
interface ExecutedFile {
  /** The path as the kernel shows it. */
  path: string;
  stat: Stat;
  /** Reads the file. */
  pieces: () => Iterable<Buffer>;
}

export interface SealedLayers {
  reader: SystemReader;
  mounts: MountTable;
  /** Devices of the file systems on disks that the host made read-only. */
  sealed: ReadonlySet<string>;
  /** @throws Error if no time is left */
  verifyTime: () => void;
}

/**
 * Whether a file on an overlay is a file of the sealed disk that nothing has changed since. Kernels before 6.7 show the
 * device of the layer in /proc/PID/maps; later kernels show the overlay's own, and the layer must be found. The overlay
 * reports the attributes of the file in its layer. No attribute proves in which layer the file is: the kernel keeps the
 * inode number of a file that is copied up, and root can set a ctime by setting the clock. A path proves nothing either: a
 * process in another mount namespace can give any path to a file. So the upper layer must not have the path, and the file
 * must have the content of the file in the lower layer.
 */
export function isUnchangedInLayer(layers: SealedLayers, file: ExecutedFile): boolean {
  const { reader, mounts, sealed } = layers;
  const { path } = file;
  const name = path.endsWith(deletedSuffix) ? path.slice(0, -deletedSuffix.length) : path;
  const overlays = mounts.all.filter(({ type, target }) => type === 'overlay' && isBelow(name, target));
  return overlays.some((overlay) => {
    const inside = `${overlay.root === '/' ? '' : overlay.root}${name.slice(overlay.target.length)}`;
    const upper = optionOf(overlay, 'upperdir');
    const isInUpper =
      upper?.startsWith('/') === true &&
      unlessSystemError(() => reader.stat(`${upper}${inside}`) === undefined) !== true;
    const lowers = lowersOf(overlay).filter(
      (lower) => lower.startsWith('/') && sealed.has(mounts.serving(lower)?.device ?? ''),
    );
    return !isInUpper && lowers.some((lower) => isSameFile(layers, file, `${lower}${inside}`));
  });
}

/** Whether an executed file has the attributes and the content of another. False if a file cannot be read. */
function isSameFile({ reader, verifyTime }: SealedLayers, file: ExecutedFile, other: string): boolean {
  const stat = unlessSystemError(() => reader.stat(other));
  if (stat === undefined || !hasSameAttributes(file.stat, stat)) return false;
  verifyTime();
  const compare = () => haveSameContent(file.pieces(), reader.pieces(other));
  return unlessSystemError(() => onFile(other, compare)) === true;
}

function hasSameAttributes(one: Stat, other: Stat): boolean {
  const { bytes, changed, modified, mode, uid, gid } = one;
  return (
    other.kind === 'file' &&
    one.kind === 'file' &&
    other.bytes === bytes &&
    other.changed === changed &&
    other.modified === modified &&
    other.mode === mode &&
    other.uid === uid &&
    other.gid === gid
  );
}

/** Compares two files of the same size, read in buffers of the same size. */
function haveSameContent(one: Iterable<Buffer>, other: Iterable<Buffer>): boolean {
  const rest = other[Symbol.iterator]();
  for (const piece of one) {
    const next = rest.next();
    if (next.done === true || !piece.equals(next.value)) return false;
  }
  return rest.next().done === true;
}
