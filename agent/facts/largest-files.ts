import { unlessAbsent } from '../lib/errors.ts';
import { decodeBytes, encodeBytes } from '../lib/format.ts';
import type { Stat, SystemReader } from '../system/reader.ts';

/** An upper layer and the directory on which its overlay is mounted. */
export interface UpperLayer {
  target: string;
  upper: string;
}

/** A file, or a directory including its content, in an upper layer. */
export interface LargestFile {
  /** The path in the overlay, not the path in the upper layer. */
  path: string;
  bytes: number;
  inodes: number;
}

/** Upper bound on the entries to read, so that a layer with many small files does not delay the check. */
const mostEntries = 20_000;
const shown = 5;

/**
 * Reads the entries of upper layers, the ones of a directory before those below them.
 * @param isSkipped whether an entry is left out with its content, by its path in the overlay (latin1) and in the upper layer
 * @returns each entry with its path in the overlay and the target of the overlay, both with one character per byte (latin1), because
 *     programs choose the names; undefined, and then none, after `limit` entries
 * @throws SystemError
 */
export function* layerEntries(
  reader: SystemReader,
  uppers: readonly UpperLayer[],
  isSkipped: (path: string, file: string) => boolean,
  limit = mostEntries,
): Generator<{ path: string; target: string; stat: Stat } | undefined> {
  let entries = 0;
  // One level of directories after the other. Array.shift() of a queue takes a minute for 200,000 directories.
  for (let level = uppers.map(asBytes); level.length > 0;) {
    const below: typeof level = [];
    for (const { target, upper, directory } of level) {
      for (const name of unlessAbsent(() => reader.listBytes(`${upper}${directory}`)) ?? []) {
        if (++entries > limit) {
          yield undefined;
          return;
        }
        const entry = `${directory}/${name}`;
        if (isSkipped(`${target}${entry}`, decodeBytes(`${upper}${entry}`))) continue;
        const stat = reader.statBytes(`${upper}${entry}`);
        if (stat === undefined) continue;
        if (stat.kind === 'directory') below.push({ target, upper, directory: entry });
        yield { path: `${target}${entry}`, target, stat };
      }
    }
    level = below;
  }
}

function asBytes({ target, upper }: UpperLayer): UpperLayer & { directory: string } {
  return { target: encodeBytes(target), upper: encodeBytes(upper), directory: '' };
}

/**
 * Finds the largest directories and files, down to two levels below each overlay, such as /var/log/journal. Counts only the
 * first 20,000 entries, so the actual sizes may be larger.
 * @param isMount whether a directory is a mount point; its content is skipped, because it is not part of the layer and
 *     access to it may hang
 * @throws SystemError
 */
export function findLargestFiles(
  reader: SystemReader,
  uppers: readonly UpperLayer[],
  isMount: (directory: string) => boolean = () => false,
): LargestFile[] {
  const found = new Map<string, LargestFile>();
  for (const entry of layerEntries(reader, uppers, (_, file) => isMount(file))) {
    if (entry === undefined) break;
    const { target, stat } = entry;
    const path = decodeBytes(`${target}${entry.path.slice(target.length).split('/').slice(0, 3).join('/')}`);
    const { bytes, inodes } = found.get(path) ?? { bytes: 0, inodes: 0 };
    found.set(path, { path, bytes: bytes + stat.allocatedBytes, inodes: inodes + 1 });
  }
  return largest(found);
}

/** Selects the largest entries by bytes and the largest by inodes, because either resource may be exhausted. */
function largest(found: ReadonlyMap<string, LargestFile>): LargestFile[] {
  const all = [...found.values()];
  const byBytes = all.toSorted((a, b) => b.bytes - a.bytes).slice(0, shown);
  const byInodes = all.toSorted((a, b) => b.inodes - a.inodes).slice(0, shown);
  return [...new Set([...byBytes, ...byInodes])].toSorted((a, b) => b.bytes - a.bytes);
}
