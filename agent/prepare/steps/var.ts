import { formatBytes, shortList } from '../../lib/format.ts';
import { unlessRefused } from '../../system/image.ts';
import type { SystemReader } from '../../system/reader.ts';
import { configFile } from '../../config/config.ts';
import { proposePersist } from '../../assess/persist-proposal.ts';
import { containerStores, proposeScratch } from '../../assess/scratch-proposal.ts';
import { isBelow } from '../../facts/mounts/mountinfo.ts';
import { type Planned, stepOf, when } from '../engine/part.ts';
import type { Snapshot } from '../engine/snapshot.ts';
import { readMoves } from '../move/record.ts';
import { findOverlayMetadata } from './overlay-metadata.ts';
import { persistedFolders } from './persist.ts';
import {
  copiedFiles,
  describeOverlays,
  isLayered,
  layerSize,
  layeredRoots,
  planOverlays,
  scratchFolders,
} from './layers.ts';

/**
 * The maximum share of the memory that the upper layer of /var may take, so that enough memory is left for the guest.
 */
const mostOfMemory = 0.75;

/**
 * Plans the step `var`, which verifies OVERLAY and estimates the memory that the overlays on /var and on the paths of
 * OVERLAY need. The first write to a file copies the
 * whole file into the upper layer, so the estimate is the size of the files that processes have open for writing.
 */
export async function planVar(look: Snapshot): Promise<Planned> {
  const { reader, settings } = look;
  const overlays = planOverlays(look);
  const stores = overlaidStores(look);
  // Neither the memory nor the open files of the guests of an image are known.
  const size = unlessRefused(() => estimate(look, overlays.targets));
  const { costs = [], files = [], isFull = false, tooLarge = [] } = size ?? {};
  const problems = [
    ...overlays.problems,
    ...tooLarge,
    ...(await storeProblems(look, stores, overlays.targets)),
  ];
  if (isFull && readMoves(reader).cleanVar)
    return stepOf('at next boot', [...costs, 'The next maintenance boot rotates logs.', ...problems]);
  if (isFull && settings.cleanVar === true)
    return stepOf('needed', [...costs, 'Logs will be rotated.', ...problems], [{ do: 'plan-clean-var' }]);
  const manual = [
    ...when(isFull, `${costs.join('')} ${advice}`),
    ...problems,
    ...scratchLines(look, [...stores, ...(isFull ? files.map(({ path }) => path) : [])]),
    ...persistLines(look, stores),
  ];
  if (manual.length > 0) return stepOf('by hand', manual);
  return stepOf('done', [...costs, ...packageDatabase(reader), ...describeOverlays(overlays)]);
}

const advice =
  'That is too much: use --clean-var, which rotates logs and journals, raise VAR_SIZE in /etc/immutafs/immutafs.conf, or put caches and other large files on a disk that is emptied at every reboot (SCRATCH).';

/** Estimates the memory that the overlays need, and whether it is too much. The texts are sentences. */
function estimate(look: Snapshot, overlaid: readonly string[]) {
  const { config } = look;
  const { memory, layer } = layerSize(look);
  const files = copiedFiles(look, overlaid);
  const cost = files.reduce((sum, { bytes }) => sum + bytes, 0);
  const share = Math.ceil((cost / layer) * 100);
  const texts = files.map(
    ({ path, bytes, who }) => `${path} ${formatBytes(bytes)} by ${shortList(who, ', ', 3)}`,
  );
  const shown = files.length === 0 ? '' : `; ${shortList(texts, ', ', 5)}`;
  return {
    files,
    costs: [
      `Files that are open for writing would be copied into memory: ${formatBytes(cost)} of the ${formatBytes(layer)} of VAR_SIZE (${share}%)${shown}.`,
    ],
    isFull: share >= parseInt(config.USAGE_WARN, 10),
    tooLarge: when(
      layer > memory * mostOfMemory,
      `VAR_SIZE=${config.VAR_SIZE} is more than three quarters of the guest's memory (${formatBytes(memory)}): lower it, or give the guest more.`,
    ),
  };
}

/** Finds the container stores that exist, are not empty, and will be below the overlay on /var or on a path of SCRATCH. */
function overlaidStores(look: Snapshot): string[] {
  const { reader } = look;
  const directories = foldersWithoutOverlay(look);
  return containerStores.filter(
    (store) =>
      reader.stat(store)?.kind === 'directory' &&
      reader.list(store).length > 0 &&
      isLayered(look, store) &&
      !directories.some((directory) => isBelow(store, directory)),
  );
}

/** Returns the paths over which a sealed boot mounts a directory of another disk, so that no overlay is below them. */
function foldersWithoutOverlay(look: Snapshot): string[] {
  return [...scratchFolders(look, ['empty', 'copy']), ...persistedFolders(look.config)];
}

/**
 * Reports container stores, because the overlay on /var cannot be the upper layer of another overlay (overlayfs.rst)
 * and images are large, and reports metadata of overlayfs.
 */
async function storeProblems(
  look: Snapshot,
  found: readonly string[],
  others: readonly string[],
): Promise<string[]> {
  const { mounts } = look;
  const roots = [...layeredRoots(look), ...others];
  const directories = foldersWithoutOverlay(look);
  const isHidden = (path: string) =>
    mounts.at(path).length > 0 || directories.some((directory) => isBelow(path, directory));
  return [
    ...found.map(
      (store) =>
        `${store} holds containers or their images, which do not work on an overlay: name the store in SCRATCH with the option empty, or its directory in PERSIST, give it a separate disk or a tmpfs, or empty it.`,
    ),
    ...(await findOverlayMetadata(look, roots, found, isHidden)),
  ];
}

/** Returns a sentence with the line that puts container stores, caches and builds on SCRATCH_DEVICE; none without them. */
function scratchLines({ config }: Snapshot, paths: readonly string[]): string[] {
  const line = proposeScratch(config, paths);
  if (line === undefined) return [];
  const disk = config.SCRATCH_DEVICE === '' ? ', and attach a disk (--scratch-device)' : '';
  return [`If their content may be lost at every reboot, add to ${configFile}${disk}: ${line}`];
}

/** Returns a sentence with the line that keeps container stores on the data disk; none without stores. */
function persistLines({ config }: Snapshot, stores: readonly string[]): string[] {
  const line = proposePersist(config, stores);
  if (line === undefined) return [];
  const disk = config.PERSIST_STORE === '' ? ', and set PERSIST_STORE to a directory of a data disk' : '';
  return [`If the images and containers must be kept, add instead${disk}: ${line}`];
}

function packageDatabase(reader: SystemReader): string[] {
  const folder = '/var/lib/rpm';
  if (reader.stat(folder)?.kind !== 'directory') return [];
  const bytes = reader
    .list(folder)
    .reduce((sum, name) => sum + (reader.stat(`${folder}/${name}`)?.bytes ?? 0), 0);
  return [
    `The package database (${folder}, ${formatBytes(bytes)}) is copied only if a package manager writes to it.`,
  ];
}
