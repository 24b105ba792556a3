import { formatBytes, shortList } from '../../lib/format.ts';
import type { SystemReader } from '../../system/reader.ts';
import { readXattrsProgram } from '../../system/layers/xattrs.ts';
import { installHint } from '../move/requirements.ts';
import { isBelow } from '../../facts/mounts/mountinfo.ts';

/** The timeout of the search of one file system, in milliseconds. */
const limit = 120_000;
const find = '/usr/bin/find';
const stat = '/usr/bin/stat';
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
    const devices = await whiteoutsIn(reader, root);
    if (typeof devices === 'string') problems.push(devices);
    else found.whiteouts.push(...devices.filter((path) => !isHidden(path)));
    const marked = await attributesIn(reader, root);
    if (typeof marked === 'string') problems.push(marked);
    else found.attributes.push(...marked.filter((path) => path === root || !isHidden(path)));
  }
  const isInstalled = reader.stat('/usr/bin/setfattr') !== undefined;
  const hint = isInstalled ? '' : ` (first ${installHint(reader, 'attr')})`;
  return [...describe(found.whiteouts, found.attributes, stores, hint), ...problems];
}

function describe(
  whiteouts: readonly string[],
  marked: readonly string[],
  stores: readonly string[],
  hint: string,
): string[] {
  const inStore = (path: string) => stores.find((store) => isBelow(path, store));
  const byStore = stores.flatMap((store) => {
    const [devices, attrs] = [whiteouts, marked].map(
      (paths) => paths.filter((path) => inStore(path) === store).length,
    );
    if (devices === 0 && attrs === 0) return [];
    return [
      `${store} has ${devices ?? 0} whiteouts (character devices 0:0) and ${attrs ?? 0} files with trusted.overlay attributes of its containers' layers, which are unusable through the overlay on /var: give the store a separate disk, or remove the containers and images with the store's own program before sealing.`,
    ];
  });
  const [devices = [], attrs = []] = [whiteouts, marked].map((paths) =>
    paths.filter((path) => inStore(path) === undefined),
  );
  return [
    ...byStore,
    ...(devices.length === 0
      ? []
      : [
          `${few(devices)}: character devices 0:0, which overlayfs treats as deleted files and which cannot be opened through the overlay on /var. They come from a copy of an overlay's upper layer: remove them (rm).`,
        ]),
    ...(attrs.length === 0
      ? []
      : [
          `${few(attrs)}: trusted.overlay attributes, which overlayfs reserves for itself, so that the overlay on /var shows other content or an error. They come from a copy of an overlay's upper layer: list them with \`getfattr -h -d -m '^${prefix}' FILE\`, remove each with \`setfattr -h -x NAME FILE\`${hint}.`,
        ]),
  ];
}

const few = (paths: readonly string[]) => shortList(paths, ', ', 5);

/**
 * Searches for whiteouts.
 * @returns their paths, one character per byte; or, as a text, the reason why the search failed
 */
async function whiteoutsIn(reader: SystemReader, root: string): Promise<string[] | string> {
  const args = [root, '-ignore_readdir_race', '-xdev', '-type', 'c'];
  const { stdout, ended } = await reader.run(
    find,
    [...args, '-exec', stat, '--printf', '%t:%T %n\\0', '--', '{}', '+'],
    limit,
  );
  if (ended !== 'good') return searchProblem(root, 'whiteouts', ended);
  return stdout
    .split('\0')
    .filter((line) => line.startsWith('0:0 '))
    .map((line) => line.slice('0:0 '.length));
}

/** Searches for files with overlayfs attributes. @returns their paths, or the reason why the search failed */
async function attributesIn(reader: SystemReader, root: string): Promise<string[] | string> {
  const args = [root, '-ignore_readdir_race', '-xdev', '-exec', readXattrsProgram, prefix, '{}', '+'];
  const { stdout, ended } = await reader.run(find, args, limit);
  if (ended !== 'good') return searchProblem(root, 'overlayfs attributes', ended);
  return stdout.split('\0').slice(0, -1);
}

function searchProblem(root: string, what: string, ended: 'bad' | 'deadline' | 'full'): string {
  const why = {
    bad: 'the search failed',
    deadline: `the search did not end within ${limit / 1000} s`,
    full: `their names take more than ${formatBytes(16 * 1024 ** 2)}`,
  }[ended];
  return `It is unknown which files below ${root} have ${what}: ${why}. Search manually: \`find ${root} -xdev -type c -ls\` and \`find ${root} -xdev -exec ${readXattrsProgram} ${prefix} {} + | tr '\\0' '\\n'\`.`;
}
