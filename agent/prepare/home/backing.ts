import { unescapeOctal } from '../../lib/format.ts';
import type { SystemReader } from '../../system/reader.ts';
import { readSwaps } from '../../facts/disks/swaps.ts';
import { type Namespaces, attempt, placesOf, visiblePlacesOf } from './namespaces.ts';
import { type Region, isInRegion } from './region.ts';

/**
 * What the kernel itself has open in a region, without a process: loop devices, swap files, directories of overlays, and NFS
 * exports. They would continue to use the old /home after the cutover.
 * @returns a sentence each, with what to do
 */
export async function findBacking(
  reader: SystemReader,
  region: Region,
  namespaces: Namespaces,
): Promise<string[]> {
  return [
    ...(await loops(reader, region, namespaces)),
    ...swaps(reader, region, namespaces),
    ...stacked(namespaces, region),
    ...exports(reader, namespaces, region),
  ];
}

/**
 * By the device number of the backing file's file system, if losetup(8) shows it: then a file that no path leads to counts,
 * too. Otherwise by its path.
 */
async function loops(reader: SystemReader, region: Region, { own }: Namespaces): Promise<string[]> {
  const names = (attempt(() => reader.list('/sys/block')) ?? []).filter((name) => /^loop\d+$/.test(name));
  const found = names.flatMap((name) => {
    const text = attempt(() => reader.read(`/sys/block/${name}/loop/backing_file`, 65536))?.replace(
      /\n$/,
      '',
    );
    if (text === undefined || text.endsWith(' (deleted)')) return [];
    const file = unescapeOctal(text);
    const isThere = attempt(() => reader.stat(file)) !== undefined;
    const isPlaced = placesOf(own, file).some(({ inside }) => isInRegion(region, inside));
    return isPlaced || !isThere ? [{ name, file, isPlaced }] : [];
  });
  if (found.length === 0) return [];
  const devices = await backingDevices(reader);
  return found
    .filter(({ name, isPlaced }) => {
      const device = devices.get(`/dev/${name}`);
      return device === undefined ? isPlaced : region.devices.has(device);
    })
    .map(
      ({ name, file }) =>
        `/dev/${name} has its content in ${file}, which it would continue to use: unmount its file system, then losetup -d /dev/${name}.`,
    );
}

/** losetup(8): "/dev/loop0 253:0", the device of the file system that the backing file is on. */
async function backingDevices(reader: SystemReader): Promise<ReadonlyMap<string, string>> {
  const { stdout } = await reader.run('/usr/sbin/losetup', ['--list', '--output', 'NAME,BACK-MAJ:MIN']);
  return new Map(
    stdout.split('\n').flatMap((line): [string, string][] => {
      const [, name, device] = /^(\/dev\/loop\d+)\s+(\d+:\d+)\s*$/.exec(line) ?? [];
      return name === undefined || device === undefined ? [] : [[name, device]];
    }),
  );
}

function swaps(reader: SystemReader, region: Region, { own }: Namespaces): string[] {
  return readSwaps(reader)
    .filter(({ source }) => visiblePlacesOf(own, source).some(({ inside }) => isInRegion(region, inside)))
    .map(
      ({ source }) => `${source} is in use as swap: swapoff ${source}, and remove its line from /etc/fstab.`,
    );
}

/** The kernel shows a path of the namespace that mounted the file system: that is the process's own, or ours. */
function stacked(namespaces: Namespaces, region: Region): string[] {
  const found = namespaces.all.flatMap((namespace) =>
    namespace.backed
      .filter(({ path }) =>
        [namespace, namespaces.own].some((each) =>
          visiblePlacesOf(each, path).some(({ inside }) => isInRegion(region, inside)),
        ),
      )
      .map(({ type, target, path }) => {
        const where = namespace.own ? '' : ` in the mount namespace of ${namespace.who}`;
        return `the ${type} on ${target}${where} uses ${path}, and would continue to use the old one: umount ${target}.`;
      }),
  );
  return [...new Set(found)];
}

/**
 * nfsd serves a directory of a file system, not the mounts over it: an export of / contains the old /home, too. Entries of
 * exports(5) that are not exported count while the server runs; exports always count.
 */
function exports(reader: SystemReader, { own }: Namespaces, region: Region): string[] {
  const read = (file: string) => attempt(() => reader.read(file)) ?? '';
  const threads = Number(read('/proc/fs/nfsd/threads'));
  const folder = '/etc/exports.d';
  const names = (attempt(() => reader.list(folder)) ?? []).filter((name) => /^[^.].*\.exports$/.test(name));
  const written = threads > 0 ? ['/etc/exports', ...names.map((name) => `${folder}/${name}`)] : [];
  const paths = ['/var/lib/nfs/etab', ...written].flatMap((file) => exportedPaths(read(file)));
  return [...new Set(paths)]
    .filter((path) =>
      visiblePlacesOf(own, path).some(
        ({ inside }) => isInRegion(region, inside) || isInRegion({ ...region, root: inside }, region.root),
      ),
    )
    .map(
      (path) =>
        `${path} is exported by NFS, whose clients would continue to use the old /home: exportfs -u '*:${path}' or stop nfs-server, and export it again afterwards.`,
    );
}

/** exports(5) and etab: each line begins with a path, in quotes or with \ooo; a backslash continues a line. */
export function exportedPaths(text: string): string[] {
  return text
    .replace(/\\\n/g, ' ')
    .split('\n')
    .flatMap((line) => {
      const [, quoted, plain] = /^\s*(?:"([^"]+)"|([^\s#"][^\s]*))/.exec(line) ?? [];
      const path = quoted ?? plain;
      return path?.startsWith('/') === true ? [unescapeOctal(path).replace(/(.)\/+$/, '$1')] : [];
    });
}
