import { forwardDirectory } from '../../facts/forwarder.ts';
import type { Clock } from '../../system/clock.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { SystemWriter } from '../../system/writer.ts';
import type { FirstBoot } from '../journal/earlier-boots.ts';
import { type StoredCheckpoint, readCheckpoint } from './checkpoint.ts';
import { DurableState, readEarlierState } from './durable-state.ts';

/** Where forwarding begins. */
export interface Positions extends StoredCheckpoint {
  /** Where to begin if no cursor is known. */
  firstBoot: FirstBoot;
  /** Whether this boot stored the positions in log files. */
  trusted: boolean;
}

/**
 * Reads the positions that this boot stored or, if there are none, those of an earlier boot in FORWARD_STATE.
 * @param folder the value of FORWARD_STATE
 */
export function readPositions(
  reader: SystemReader,
  folder: string,
  clock: Clock,
  trouble: (reason: string) => void,
): Positions {
  const isDurable = folder !== forwardDirectory;
  const { cursor, files, problem } = readCheckpoint(reader, clock.bootId, clock.monotonic(), isDurable);
  if (problem !== undefined)
    trouble(cursor === '' ? `${problem}; starting at this boot's first entry` : problem);
  if (!isDurable || cursor !== '') return { cursor, files, firstBoot: 'this', trusted: true };
  const earlier = readEarlierState(reader, folder, machineId(reader), clock.realtime());
  if (earlier.problem !== undefined)
    trouble(
      `FORWARD_STATE: ${earlier.problem}${earlier.firstBoot === 'oldest' ? '; starting at the oldest entry' : ''}`,
    );
  // In this boot, lines of log files may have been acknowledged before any entry of the journal.
  const trusted = files.length > 0;
  return {
    cursor: earlier.cursor,
    files: trusted ? files : earlier.files,
    firstBoot: earlier.firstBoot,
    trusted,
  };
}

/**
 * Returns the store for positions that outlive this boot; undefined if FORWARD_STATE is in /run. If nothing is stored
 * yet, stores that forwarding begins with this boot.
 * @param folder the value of FORWARD_STATE
 */
export function openDurable(
  reader: SystemReader,
  writer: SystemWriter,
  folder: string,
  { bootId }: Clock,
  { cursor, files, firstBoot }: Positions,
  trouble: (reason: string) => void,
): DurableState | undefined {
  if (folder === forwardDirectory) return undefined;
  const state = new DurableState(writer, folder, machineId(reader), bootId, firstBoot, trouble);
  if (cursor === '' && firstBoot === 'this') state.save('', files);
  return state;
}

/** Returns the machine ID, or zeros if the machine has none (machine-id(5)). */
function machineId(reader: SystemReader): string {
  const id = reader.readIfPresent('/etc/machine-id', 4096)?.trim() ?? '';
  return /^[0-9a-f]{32}$/.test(id) ? id : '0'.repeat(32);
}
