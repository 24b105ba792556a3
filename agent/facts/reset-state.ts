import { type Accepted, isAccepted } from '../config/accepted.ts';
import type { Config } from '../config/config.ts';
import { isSeedOverlay } from '../config/overlay-paths.ts';
import { decodeBytes } from '../lib/format.ts';
import { harmlessDirectories, statePlaceOf } from '../services/state-rules.ts';
import type { Service } from '../services/services.ts';
import type { SystemReader } from '../system/reader.ts';
import { pathItems } from './boot/kept-paths.ts';
import { expendableFiles } from './expendable.ts';
import { type UpperLayer, layerEntries } from './largest-files.ts';

/** Files that the next reboot resets, of one service, or of one directory if the service is unknown. */
export interface ResetState {
  service: Service | undefined;
  /** The directories in the overlay; for an unknown service, a directory or a single file. */
  directories: string[];
  files: number;
  /** The space in memory. */
  bytes: number;
  /** The last write, in milliseconds since the epoch. */
  newest: number;
}

export interface ResetStates {
  /** The largest first. */
  list: ResetState[];
  /** Whether every entry of the layers was read. */
  isComplete: boolean;
}

/**
 * Finds what was written to the upper layers since the boot and is neither of a harmless class of the table of services
 * nor accepted. Below /var/cache and /var/log, a file counts if another user than root owns it, unless it is a cache or a
 * log by its name or by declaration (expendable.ts). What SCRATCH names is accepted, and the next boot makes what cloud-init wrote from the seed again. Only
 * the layers are read, and not the disk.
 * @param isMount whether a directory is a mount point; its content is skipped, because it is not part of the layer and
 *     access to it may hang
 * @throws SystemError
 */
export function findResetState(
  reader: SystemReader,
  config: Pick<Config, 'SCRATCH' | 'SEED' | 'FORWARD_FILES'>,
  uppers: readonly UpperLayer[],
  accepted: Pick<Accepted, 'paths'>,
  isMount: (directory: string) => boolean,
  entriesLimit?: number,
): ResetStates {
  const found = new Map<string, ResetState>();
  const paths = [...accepted.paths, ...pathItems(config.SCRATCH).map(({ path }) => path)];
  const isSkipped = (path: string) => harmless.has(path) || isAccepted({ paths }, path);
  const layers = uppers.filter(({ target }) => !isSeedOverlay(config, target) && !isSkipped(target));
  const overlays = layers.map(({ target }) => target).filter((target) => !/^\/var(\/|$)/.test(target));
  const isExpendable = expendableFiles(reader, config);
  const isLeftOut = (path: string, file: string) => isSkipped(path) || isMount(file);
  for (const entry of layerEntries(reader, layers, isLeftOut, entriesLimit)) {
    if (entry === undefined) return { list: sorted(found), isComplete: false };
    const { path, stat } = entry;
    const place = stat.kind === 'file' ? statePlaceOf(path, overlays, stat.bytes) : undefined;
    if (place === undefined) continue;
    // Programs of the base system write caches and logs as root. Which package owns a directory is not known here.
    if (place.isExamined && (stat.uid === 0 || isExpendable(path))) continue;
    const state = found.get(place.key) ?? newState(place.rule?.service);
    if (!state.directories.includes(place.directory)) state.directories.push(place.directory);
    state.files += 1;
    state.bytes += stat.allocatedBytes;
    state.newest = Math.max(state.newest, stat.modified);
    found.set(place.key, state);
  }
  return { list: sorted(found), isComplete: true };
}

const harmless: ReadonlySet<string> = new Set(harmlessDirectories);

function newState(service: Service | undefined): ResetState {
  return { service, directories: [], files: 0, bytes: 0, newest: 0 };
}

function sorted(found: ReadonlyMap<string, ResetState>): ResetState[] {
  return [...found.values()]
    .map((state) => ({ ...state, directories: state.directories.map(decodeBytes) }))
    .toSorted((one, other) => other.bytes - one.bytes);
}
