import { readAccepted } from '../config/accepted.ts';
import { readConfig } from '../config/config.ts';
import { readDeclarations } from '../facts/declared-directories.ts';
import { type MountTable, isBelow } from '../facts/mounts/mountinfo.ts';
import { findResetState } from '../facts/reset-state.ts';
import { formatBytes, shortList } from '../lib/format.ts';
import { clean, toJson } from '../lib/unprintable.ts';
import { globPattern } from '../services/state-rules.ts';
import type { SystemReader } from '../system/reader.ts';
import type { WritableLayer } from './layers.ts';

/** State that the next reboot resets, for `changes --state`. */
export interface StateReport {
  /** The id in the table of services; null if the service is unknown. */
  service: string | null;
  name: string;
  directories: string[];
  /** The services of systemd that belong to it. */
  units: string[];
  files: number;
  bytes: number;
  /** ISO 8601 */
  lastWrite: string;
  /** What the reboot loses. */
  loses: string;
}

/** Upper bound on the entries that are read, which bounds time and memory. */
const mostEntries = 2_000_000;

/**
 * Finds the undecided state that the next reboot resets, the largest first.
 * @returns also whether all entries of the layers were read
 * @throws SystemError if a layer cannot be read
 */
export function findLosses(
  reader: SystemReader,
  mounts: MountTable,
  layers: readonly WritableLayer[],
): { losses: StateReport[]; isComplete: boolean } {
  const { config } = readConfig(reader);
  const isMount = (directory: string) => mounts.at(directory).length > 0;
  const { list, isComplete } = findResetState(
    reader,
    config,
    layers,
    readAccepted(reader),
    isMount,
    mostEntries,
  );
  if (list.length === 0) return { losses: [], isComplete };
  const { declarations, units } = readDeclarations(
    reader,
    layers.map(({ target }) => target),
  );
  const losses = list.map(({ service, directories, files, bytes, newest }): StateReport => {
    const patterns = (service?.units ?? []).map(globPattern);
    const named = declarations.filter(({ path }) => directories.some((each) => isBelow(path, each)));
    const own = units.filter((unit) => patterns.some((pattern) => pattern.test(unit)));
    return {
      service: service?.id ?? null,
      name: service?.name ?? directories[0] ?? '',
      directories,
      units: [...new Set([...own, ...named.map(({ unit }) => unit)])].slice(0, 5),
      ...{ files, bytes, lastWrite: new Date(newest).toISOString() },
      loses: service?.loses ?? 'what was written here since the boot',
    };
  });
  return { losses, isComplete };
}

/** Formats a loss as one line. */
export function lossLine({ service, name, directories, units, files, bytes, loses }: StateReport): string {
  const place = service === null ? name : `${name}, ${shortList(directories, ', ', 3)}`;
  const unit = units.length === 0 ? '' : ` (${units.join(', ')})`;
  const size = `${formatBytes(bytes)} in ${files} ${files === 1 ? 'file' : 'files'}`;
  return `${clean(`${place}${unit}: ${size}`)}: a reboot loses ${loses}`;
}

/** Formats a loss as a JSON object on one line. */
export function lossJson(loss: StateReport): string {
  return toJson({ schema: 1, ...loss });
}
