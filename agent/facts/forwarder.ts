import { decodeBytes, parseJson } from '../lib/format.ts';
import type { SystemReader } from '../system/reader.ts';

export const forwardFolder = '/run/immutafs/forward';
export const forwardStateFile = `${forwardFolder}/state.json`;
/** The daemon writes its state at least this often, in milliseconds. */
export const heartbeat = 60_000;

/** Entries since the daemon was started, by outcome. */
export interface ForwardCounts {
  acknowledged: number;
  /** Unacknowledged when a connection was lost, and sent again: the server may have received them. */
  repeated: number;
  /** Removed from the journal before they could be read. */
  lost: number;
  /** Corrupt in the journal. */
  corrupt: number;
  /** Rejected by the server; a note was sent in their place. */
  refused: number;
  /** Sent with a truncated MESSAGE. */
  cut: number;
  /** Suppressed by journald, as it reports. */
  suppressed: number;
}

/** The state that the daemon (`forward`) writes. */
export interface ForwardState {
  /** The server in use, or the one tried last, as in FORWARD. */
  target: string;
  state: 'connecting' | 'connected' | 'waiting' | 'stopped';
  /** The begin of this state (ISO 8601). */
  since: string;
  /** The time of this record (ISO 8601). */
  at: string;
  pid: number;
  lastAckAt: string | null;
  /** Entries in the journal that are not acknowledged; null if unknown. */
  lag: { entries: number | null; seconds: number | null };
  counts: ForwardCounts;
  /** The reason why it is not connected, or cannot read the journal; '' if there is no error. */
  error: string;
}

/** The daemon's state, and its process. */
export interface Forwarder {
  state: ForwardState;
  /** Whether a process with its PID exists. */
  alive: boolean;
  reportedSeconds: number;
  sinceSeconds: number;
}

/**
 * The daemon; undefined if it has not run in this boot. It runs as an unprivileged user, so its file is not trusted.
 * @throws HostError; Error for a malformed file
 */
export function findForwarder(reader: SystemReader): Forwarder | undefined {
  const text = reader.readRecord(forwardStateFile, 'folder', 65536);
  if (text === undefined) return undefined;
  const value = parseJson(decodeBytes(text), forwardStateFile);
  if (!isState(value)) throw new Error(`${forwardStateFile}: not what the forwarder writes`);
  const ago = (time: string) => (reader.now().getTime() - Date.parse(time)) / 1000;
  return {
    state: value,
    alive: reader.stat(`/proc/${value.pid}`) !== undefined,
    reportedSeconds: ago(value.at),
    sinceSeconds: ago(value.since),
  };
}

type Shape = { [key: string]: ((value: unknown) => boolean) | Shape };

const oneLine = (value: unknown) => typeof value === 'string' && value.length < 2000;
const time = (value: unknown) => oneLine(value) && !Number.isNaN(Date.parse(String(value)));
const count = (value: unknown) => Number.isSafeInteger(value) && Number(value) >= 0;
const orNull = (test: (value: unknown) => boolean) => (value: unknown) => value === null || test(value);

const shape: Shape = {
  target: oneLine,
  state: (value) => ['connecting', 'connected', 'waiting', 'stopped'].includes(String(value)),
  since: time,
  at: time,
  pid: count,
  lastAckAt: orNull(time),
  lag: {
    entries: orNull(count),
    seconds: orNull((value) => typeof value === 'number' && Number.isFinite(value)),
  },
  counts: {
    acknowledged: count,
    repeated: count,
    lost: count,
    corrupt: count,
    refused: count,
    cut: count,
    suppressed: count,
  },
  error: oneLine,
};

function isState(value: unknown): value is ForwardState {
  return fits(value, shape);
}

function fits(value: unknown, wanted: Shape): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const given = new Map(Object.entries(value));
  return Object.entries(wanted).every(([key, test]) =>
    typeof test === 'function' ? test(given.get(key)) : fits(given.get(key), test),
  );
}
