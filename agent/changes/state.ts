import { readAccepted } from '../config/accepted.ts';
import { readConfig } from '../config/config.ts';
import { readDeclarations } from '../facts/declared-directories.ts';
import { type MountTable, isBelow } from '../facts/mounts/mountinfo.ts';
import { findResetState } from '../facts/reset-state.ts';
import { formatBytes, formatTable, shellWord } from '../lib/format.ts';
import { clean, toJson } from '../lib/unprintable.ts';
import { nameInStore } from '../facts/boot/kept-paths.ts';
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
  /** What to decide in the next maintenance boot: whether it is kept, or may be reset. */
  proposal: 'keep' | 'reset';
  /** The command that copies it to /home before the reboot. */
  command: string;
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
      proposal: service?.proposal ?? 'keep',
      command: copyCommand(directories),
    };
  });
  return { losses, isComplete };
}

/** Formats losses as a table, each with the command that copies it to /home, which is not wrapped. */
export function lossTable(losses: readonly StateReport[]): string[] {
  const [head = '', ...rows] = formatTable([
    ['PATH', 'SIZE', 'UNIT', 'PROPOSAL', 'A REBOOT LOSES'],
    ...losses.flatMap(rowsOf),
  ]);
  return [
    head,
    ...losses.flatMap((loss) => [...rows.splice(0, loss.directories.length), `  ${clean(loss.command)}`]),
    'To decide about it, open the guest, and run there:',
    '  immutafs-agent prepare --only state',
  ];
}

/** The rows of a loss: one for each directory, of which the first one has the other columns. */
function rowsOf({ directories, files, bytes, units, proposal, loses }: StateReport): string[][] {
  const size = `${formatBytes(bytes)} in ${files} ${files === 1 ? 'file' : 'files'}`;
  const others = [size, units[0] ?? '-', proposal, loses];
  return directories.map((directory, index) => [directory, ...(index === 0 ? others : others.map(() => ''))]);
}

/** Returns the command that copies what was written to some directories since the boot. */
function copyCommand(directories: readonly string[]): string {
  const [first = ''] = directories;
  const file = `/home/${nameInStore(first)}.tar`;
  return `immutafs-agent changes --export ${[file, ...directories].map(shellWord).join(' ')}`;
}

/** Formats a loss as a JSON object on one line. */
export function lossJson(loss: StateReport): string {
  return toJson({ schema: 1, ...loss });
}
