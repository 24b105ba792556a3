import { formatBytes, shortList } from '../../lib/format.ts';
import type { SystemReader } from '../../system/reader.ts';
import { readXattrsProgram } from '../../system/layers/xattrs.ts';
import { when } from '../engine/part.ts';
import { installHint } from '../move/requirements.ts';
import { isBelow } from '../../facts/mounts/mountinfo.ts';

/** The timeout of the search of one file system, in milliseconds. */
const limit = 120_000;
const prefix = 'trusted.overlay.';

/**
 * Finds metadata of overlayfs (Documentation/filesystems/overlayfs.rst): a character device 0:0 is a whiteout, and
 * trusted.overlay.* attributes change how overlayfs shows directories and files. In the lower layer of the overlay on
 * /var, files with this metadata cannot be opened, or have other content. The metadata comes from the upper layer of
 * another overlay: from a container store, or from a copy of an upper layer.
 * @param roots the folders to search, each without the file systems mounted below it
 * @param stores container stores, where the metadata is expected
 * @param isHidden whether a file system is mounted over a path, now (find -xdev also returns mount points) or in a sealed boot
 * @returns problems: the files found, or the reason why a search failed, each with the solution
 */
export async function findOverlayMetadata(
  reader: SystemReader,
  roots: readonly string[],
  stores: readonly string[],
  isHidden: (path: string) => boolean,
): Promise<string[]> {
  const problems: string[] = [];
  const found = { whiteouts: [] as string[], attributes: [] as string[] };
  for (const root of roots) {
    const devices = await search(reader, root, 'whiteouts', whiteouts);
    if (typeof devices === 'string') problems.push(devices);
    else {
      const paths = devices
        .filter((line) => line.startsWith('0:0 '))
        .map((line) => line.slice('0:0 '.length));
      found.whiteouts.push(...paths.filter((path) => !isHidden(path)));
    }
    const marked = await search(reader, root, 'overlayfs attributes', attributes);
    if (typeof marked === 'string') problems.push(marked);
    else found.attributes.push(...marked.filter((path) => path === root || !isHidden(path)));
  }
  const isInstalled = reader.stat('/usr/bin/setfattr') !== undefined;
  const hint = isInstalled ? '' : ` (first ${installHint(reader, 'attr')})`;
  return [...describe(found.whiteouts, found.attributes, stores, hint), ...problems];
}

function describe(
  whiteoutPaths: readonly string[],
  marked: readonly string[],
  stores: readonly string[],
  hint: string,
): string[] {
  const storeOf = (path: string) => stores.find((store) => isBelow(path, store));
  const [devices, attrs] = [Map.groupBy(whiteoutPaths, storeOf), Map.groupBy(marked, storeOf)] as const;
  const few = (paths: readonly string[] = []) => shortList(paths, ', ', 5);
  return [
    ...stores
      .filter((store) => devices.has(store) || attrs.has(store))
      .map(
        (store) =>
          `${store} has ${devices.get(store)?.length ?? 0} whiteouts (character devices 0:0) and ${attrs.get(store)?.length ?? 0} files with trusted.overlay attributes of its containers' layers, which are unusable through the overlay on /var: give the store a separate disk, or remove the containers and images with the store's own program before sealing.`,
      ),
    ...when(
      devices.has(undefined),
      `${few(devices.get(undefined))}: character devices 0:0, which overlayfs treats as deleted files and which cannot be opened through the overlay on /var. They come from a copy of an overlay's upper layer: remove them (rm).`,
    ),
    ...when(
      attrs.has(undefined),
      `${few(attrs.get(undefined))}: trusted.overlay attributes, which overlayfs reserves for itself, so that the overlay on /var shows other content or an error. They come from a copy of an overlay's upper layer: list them with \`getfattr -h -d -m '^${prefix}' FILE\`, remove each with \`setfattr -h -x NAME FILE\`${hint}.`,
    ),
  ];
}

/** The expressions of find(1) that print "MAJOR:MINOR PATH" of character devices, and the paths with attributes. */
const whiteouts = ['-type', 'c', '-exec', '/usr/bin/stat', '--printf', '%t:%T %n\\0', '--', '{}', '+'];
const attributes = ['-exec', readXattrsProgram, prefix, '{}', '+'];

/**
 * Searches a folder.
 * @returns the records, one character per byte; or, as a text, the reason why the search failed
 */
async function search(
  reader: SystemReader,
  root: string,
  what: string,
  expression: readonly string[],
): Promise<string[] | string> {
  const args = [root, '-ignore_readdir_race', '-xdev', ...expression];
  const { stdout, ended } = await reader.run('/usr/bin/find', args, limit);
  return ended === 'good' ? stdout.split('\0').slice(0, -1) : searchProblem(root, what, ended);
}

function searchProblem(root: string, what: string, ended: 'bad' | 'deadline' | 'full'): string {
  const why = {
    bad: 'the search failed',
    deadline: `the search did not end within ${limit / 1000} s`,
    full: `their names take more than ${formatBytes(16 * 1024 ** 2)}`,
  }[ended];
  return `It is unknown which files below ${root} have ${what}: ${why}. Search manually: \`find ${root} -xdev -type c -ls\` and \`find ${root} -xdev -exec ${readXattrsProgram} ${prefix} {} + | tr '\\0' '\\n'\`.`;
}
