import { unlessSystemError } from '../../lib/errors.ts';
import { unescapeOctal } from '../../lib/format.ts';
import { namesIfReadable } from '../../system/names.ts';
import type { SystemReader } from '../../system/reader.ts';
import { readSwaps } from '../../facts/disks/disks.ts';
import { isBelow } from '../../facts/mounts/mountinfo.ts';
import { type Namespaces, type Table, placesOf, visiblePlacesOf } from './namespaces.ts';
import type { Region } from './region.ts';

/**
 * Finds files and directories in a region that are in use by the kernel itself rather than by a process: backing files
 * of loop devices, swap files, directories of overlays, and NFS exports. The kernel would continue to use the old
 * directory after the cutover.
 * @returns one message for each, which says what to do
 */
export async function findBacking(reader: SystemReader, namespaces: Namespaces): Promise<string[]> {
  return [
    ...(await loops(reader, namespaces)),
    ...swaps(reader, namespaces),
    ...stacked(namespaces),
    ...exports(reader, namespaces),
  ];
}

/**
 * Finds loop devices whose backing file is in the region. The device number of the backing file's file system decides,
 * if losetup(8) shows it, so that backing files without a path are found, too. Otherwise the path of the backing file
 * decides.
 */
async function loops(reader: SystemReader, { own, region }: Namespaces): Promise<string[]> {
  const names = namesIfReadable(reader, '/sys/block').filter((name) => /^loop\d+$/.test(name));
  const found = names.flatMap((name) => {
    const backing = `/sys/block/${name}/loop/backing_file`;
    const text = unlessSystemError(() => reader.read(backing, 65536))?.replace(/\n$/, '');
    if (text === undefined || text.endsWith(' (deleted)')) return [];
    const file = unescapeOctal(text);
    const isThere = unlessSystemError(() => reader.stat(file)) !== undefined;
    const isPlaced = placesOf(own, file).some((inside) => isBelow(inside, region.root));
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

/**
 * Maps each loop device to the device number of the file system of its backing file. losetup(8): "/dev/loop0 253:0".
 */
async function backingDevices(reader: SystemReader): Promise<ReadonlyMap<string, string>> {
  const { stdout } = await reader.run('/usr/sbin/losetup', ['--list', '--output', 'NAME,BACK-MAJ:MIN']);
  return new Map(
    stdout.split('\n').flatMap((line): [string, string][] => {
      const [, name, device] = /^(\/dev\/loop\d+)\s+(\d+:\d+)\s*$/.exec(line) ?? [];
      return name === undefined || device === undefined ? [] : [[name, device]];
    }),
  );
}

function leadsTo({ root }: Region, table: Table, path: string): boolean {
  return visiblePlacesOf(table, path).some((inside) => isBelow(inside, root));
}

function swaps(reader: SystemReader, { own, region }: Namespaces): string[] {
  return readSwaps(reader)
    .filter(({ source }) => leadsTo(region, own, source))
    .map(
      ({ source }) => `${source} is in use as swap: swapoff ${source}, and remove its line from /etc/fstab.`,
    );
}

/**
 * Finds overlays and other stacked file systems with a directory in the region. The kernel shows the path of this
 * directory in the namespace that mounted the file system, so the path is resolved in the namespace of the mount and in
 * our own.
 */
function stacked({ all, own, region }: Namespaces): string[] {
  const found = all.flatMap((namespace) =>
    namespace.backed
      .filter(({ path }) => [namespace, own].some((each) => leadsTo(region, each, path)))
      .map(({ type, target, path }) => {
        const where = namespace.own ? '' : ` in the mount namespace of ${namespace.who}`;
        return `the ${type} on ${target}${where} uses ${path}, and would continue to use the old one: umount ${target}.`;
      }),
  );
  return [...new Set(found)];
}

/**
 * Finds NFS exports that contain the region or are in it. nfsd serves a directory of a file system, not the mounts on
 * top, so an export of / contains the old /home, too. Active exports always count; lines of exports(5) count if the
 * server runs.
 */
function exports(reader: SystemReader, { own, region }: Namespaces): string[] {
  const read = (file: string) => unlessSystemError(() => reader.read(file)) ?? '';
  const threads = Number(read('/proc/fs/nfsd/threads'));
  const folder = '/etc/exports.d';
  const names = namesIfReadable(reader, folder).filter((name) => /^[^.].*\.exports$/.test(name));
  const written = threads > 0 ? ['/etc/exports', ...names.map((name) => `${folder}/${name}`)] : [];
  const paths = ['/var/lib/nfs/etab', ...written].flatMap((file) => exportedPaths(read(file)));
  return [...new Set(paths)]
    .filter((path) =>
      visiblePlacesOf(own, path).some(
        (inside) => isBelow(inside, region.root) || isBelow(region.root, inside),
      ),
    )
    .map(
      (path) =>
        `${path} is exported by NFS, whose clients would continue to use the old ${region.path}: exportfs -u '*:${path}' or stop nfs-server, and export it again afterwards.`,
    );
}

/**
 * Returns the paths in exports(5) or etab. Each line begins with a path, which is quoted or has \ooo escapes; a
 * backslash at the end continues a line.
 */
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
