import { formatBytes, shortList } from '../../lib/format.ts';
import { readXattrsProgram } from '../../system/layers/xattrs.ts';
import { mostNames, overlayPrefix } from '../engine/layer-files.ts';
import { when } from '../engine/part.ts';
import type { Snapshot } from '../engine/snapshot.ts';
import { searchLimit } from '../engine/special-files.ts';
import { installHint } from '../move/requirements.ts';
import { isBelow } from '../../facts/mounts/mountinfo.ts';

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
  { reader, layerFiles }: Pick<Snapshot, 'reader' | 'layerFiles'>,
  roots: readonly string[],
  stores: readonly string[],
  isHidden: (path: string) => boolean,
): Promise<string[]> {
  const problems: string[] = [];
  const found = { whiteouts: [] as string[], attributes: [] as string[] };
  for (const root of roots) {
    const { found: files, ended, full } = await layerFiles(root);
    if (ended !== 'good') {
      problems.push(searchProblem(root, 'whiteouts or overlayfs attributes', ended));
      continue;
    }
    if (full.has('whiteouts')) problems.push(searchProblem(root, 'whiteouts', 'full'));
    else found.whiteouts.push(...files.whiteouts.filter((path) => !isHidden(path)));
    if (full.has('attributes')) problems.push(searchProblem(root, 'overlayfs attributes', 'full'));
    else found.attributes.push(...files.attributes.filter((path) => path === root || !isHidden(path)));
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
      `${few(attrs.get(undefined))}: trusted.overlay attributes, which overlayfs reserves for itself, so that the overlay on /var shows other content or an error. They come from a copy of an overlay's upper layer: list them with \`getfattr -h -d -m '^${overlayPrefix}' FILE\`, remove each with \`setfattr -h -x NAME FILE\`${hint}.`,
    ),
  ];
}

function searchProblem(root: string, what: string, ended: 'bad' | 'deadline' | 'full'): string {
  const why = {
    bad: 'the search failed',
    deadline: `the search did not end within ${searchLimit / 1000} s`,
    full: `their names take more than ${formatBytes(mostNames)}`,
  }[ended];
  return `It is unknown which files below ${root} have ${what}: ${why}. Search manually: \`find ${root} -xdev -type c -ls\` and \`find ${root} -xdev -exec ${readXattrsProgram} ${overlayPrefix} {} + | tr '\\0' '\\n'\`.`;
}
