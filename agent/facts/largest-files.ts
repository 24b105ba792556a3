import type { SystemReader } from '../system/reader.ts';

/** A folder or file in the upper layer of /var, with everything below it. */
export interface Consumer {
  /** As it is seen by programs: below /var. */
  path: string;
  bytes: number;
  inodes: number;
}

/** So many that a layer which is full of small files does not hold up the check. */
const mostEntries = 20_000;
const shown = 5;

/**
 * What takes up the most, down to two levels below /var: /var/log/journal. After the first 20,000 entries the
 * rest is not counted: what is found is then the least that there is.
 * @param upper the upper layer's folder
 * @param isMount whether something else is mounted there: it is no part of the layer, and may hang
 */
export function findLargestFiles(
  reader: SystemReader,
  upper: string,
  isMount: (folder: string) => boolean = () => false,
): Consumer[] {
  const consumers = new Map<string, Consumer>();
  const left = [''];
  let entries = 0;
  for (let folder = left.shift(); folder !== undefined; folder = left.shift()) {
    for (const name of reader.list(`${upper}${folder}`)) {
      if (++entries > mostEntries) return largest(consumers);
      const entry = `${folder}/${name}`;
      if (isMount(`${upper}${entry}`)) continue;
      const stat = reader.stat(`${upper}${entry}`);
      if (stat === undefined) continue;
      if (stat.kind === 'directory') left.push(entry);
      const path = `/var${entry.split('/').slice(0, 3).join('/')}`;
      const { bytes, inodes } = consumers.get(path) ?? { bytes: 0, inodes: 0 };
      consumers.set(path, { path, bytes: bytes + stat.allocatedBytes, inodes: inodes + 1 });
    }
  }
  return largest(consumers);
}

/** The largest by bytes and the largest by inodes: either may be what runs out. */
function largest(consumers: ReadonlyMap<string, Consumer>): Consumer[] {
  const all = [...consumers.values()];
  const byBytes = all.toSorted((a, b) => b.bytes - a.bytes).slice(0, shown);
  const byInodes = all.toSorted((a, b) => b.inodes - a.inodes).slice(0, shown);
  return [...new Set([...byBytes, ...byInodes])].toSorted((a, b) => b.bytes - a.bytes);
}
