import type { SystemReader } from '../system/reader.ts';

/** A file, or a folder including its content, in the upper layer of /var. */
export interface LargestFile {
  /** The path below /var, not the path in the upper layer. */
  path: string;
  bytes: number;
  inodes: number;
}

/** Upper bound on the entries to read, so that a layer with many small files does not delay the check. */
const maximumEntries = 20_000;
const shown = 5;

/**
 * Finds the largest folders and files, down to two levels below /var, such as /var/log/journal. Counts only the first
 * 20,000 entries, so the actual sizes may be larger.
 * @param upper the folder of the upper layer
 * @param isMount whether a folder is a mount point; its content is skipped, because it is not part of the layer and
 *     access to it may hang
 * @throws HostError
 */
export function findLargestFiles(
  reader: SystemReader,
  upper: string,
  isMount: (folder: string) => boolean = () => false,
): LargestFile[] {
  const found = new Map<string, LargestFile>();
  const queue = [''];
  let entries = 0;
  for (let folder = queue.shift(); folder !== undefined; folder = queue.shift()) {
    for (const name of reader.list(`${upper}${folder}`)) {
      if (++entries > maximumEntries) return largest(found);
      const entry = `${folder}/${name}`;
      if (isMount(`${upper}${entry}`)) continue;
      const stat = reader.stat(`${upper}${entry}`);
      if (stat === undefined) continue;
      if (stat.kind === 'directory') queue.push(entry);
      const path = `/var${entry.split('/').slice(0, 3).join('/')}`;
      const { bytes, inodes } = found.get(path) ?? { bytes: 0, inodes: 0 };
      found.set(path, { path, bytes: bytes + stat.allocatedBytes, inodes: inodes + 1 });
    }
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
