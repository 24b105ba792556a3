import { forwardFolder } from '../../facts/forwarder.ts';
import type { Clock } from '../../system/clock.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { SystemWriter } from '../../system/writer.ts';
import { type StoredCheckpoint, readCheckpoint } from './checkpoint.ts';
import { DurableState, readEarlierState } from './durable-state.ts';

/** Where forwarding begins. */
export interface Positions extends StoredCheckpoint {
  /** Whether to begin with the oldest entry of all boots, because no cursor is known. */
  fromHead: boolean;
  /** Whether this boot stored the positions. */
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
  const isDurable = folder !== forwardFolder;
  const { cursor, files, problem } = readCheckpoint(reader, clock.bootId, clock.monotonic(), isDurable);
  if (problem !== undefined)
    trouble(cursor === '' ? `${problem}; starting at this boot's first entry` : problem);
  if (!isDurable || cursor !== '' || files.length > 0)
    return { cursor, files, fromHead: false, trusted: true };
  const earlier = readEarlierState(reader, folder, machineId(reader), clock.realtime());
  if (earlier.problem !== undefined)
    trouble(`FORWARD_STATE: ${earlier.problem}${earlier.fromHead ? '; starting at the oldest entry' : ''}`);
  return { cursor: earlier.cursor, files: earlier.files, fromHead: earlier.fromHead, trusted: false };
}

/**
 * Returns the store for positions that outlive this boot; undefined if FORWARD_STATE is in /run.
 * @param folder the value of FORWARD_STATE
 */
export function openDurable(
  reader: SystemReader,
  writer: SystemWriter,
  folder: string,
  { bootId }: Clock,
  trouble: (reason: string) => void,
): DurableState | undefined {
  return folder === forwardFolder
    ? undefined
    : new DurableState(writer, folder, machineId(reader), bootId, trouble);
}

function machineId(reader: SystemReader): string {
  return reader.read('/etc/machine-id', 4096).trim();
}
