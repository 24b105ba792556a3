import { decodeBytes, parseJson } from '../lib/format.ts';
import type { SystemReader } from '../system/reader.ts';

export const forwardDirectory = '/run/immutafs/forward';
export const forwardStateFile = `${forwardDirectory}/state.json`;
/** Maximum interval at which the daemon writes its state, in milliseconds. */
export const heartbeat = 60_000;

/** Number of journal entries since the daemon was started, by outcome. */
export interface ForwardCounts {
  acknowledged: number;
  /** Sent again because a connection was lost before the acknowledgement; the server may have received them twice. */
  repeated: number;
  /** Removed from the journal before the daemon could read them. */
  lost: number;
  /** Unreadable, because they are corrupt in the journal. */
  corrupt: number;
  /** Refused by the server; a notice was sent instead of the entry. */
  refused: number;
  /** Sent with a truncated MESSAGE. */
  cut: number;
  /** Suppressed by journald, according to its own messages. */
  suppressed: number;
}

/** The state of a log file that is forwarded. */
export interface ForwardSource {
  path: string;
  /** The number of bytes that the server has acknowledged since the daemon was started. */
  acknowledgedBytes: number;
  /** The number of bytes that the server has not acknowledged. */
  behindBytes: number;
  /** The number of bytes that were removed before they could be forwarded. */
  lostBytes: number;
  /** The reason why the file cannot be read; '' if there is no error. */
  error: string;
}

/** The state that the daemon (`immutafs-agent forward`) writes. */
export interface ForwardState {
  /** The server in use or the server tried last, as written in FORWARD. */
  target: string;
  state: 'connecting' | 'connected' | 'waiting' | 'stopped';
  /** The time at which the daemon entered this state (ISO 8601). */
  since: string;
  /** The time of this record (ISO 8601). */
  at: string;
  pid: number;
  lastAckAt: string | null;
  /** The backlog: entries in the journal that the server has not acknowledged; null if unknown. */
  lag: { entries: number | null; seconds: number | null };
  counts: ForwardCounts;
  /** The log files that exist or cannot be read. */
  sources: ForwardSource[];
  /** The reason why the daemon is not connected or cannot read the journal; '' if there is no error. */
  error: string;
}

/** Period for which the forwarder, the log server or the network at boot may be unavailable, in seconds. */
export const graceSeconds = 300;

/** The recorded state of the daemon, and whether its process exists. */
export interface Forwarder {
  state: ForwardState;
  /** Whether a process with the recorded PID exists. */
  alive: boolean;
  /** Seconds since the daemon wrote the state. */
  reportedSeconds: number;
  /** Seconds since the daemon entered the state. */
  sinceSeconds: number;
}

/**
 * Reads the state of the daemon; undefined if the daemon has not run in this boot. The daemon runs as an unprivileged
 * user, so its file is validated.
 * @throws SystemError; Error for a malformed file
 */
export function findForwarder(reader: SystemReader): Forwarder | undefined {
  const text = reader.readRecord(forwardStateFile, 'directory', 256 * 1024);
  if (text === undefined) return undefined;
  const parsed = parseJson(decodeBytes(text), forwardStateFile);
  // A forwarder of an earlier version, which is still running, knows no log files.
  const value: unknown = typeof parsed === 'object' ? { sources: [], ...parsed } : parsed;
  if (!isState(value)) throw new Error(`${forwardStateFile}: not a valid state of the forwarder`);
  const ago = (time: string) => (reader.now().getTime() - Date.parse(time)) / 1000;
  return {
    state: value,
    alive: reader.stat(`/proc/${value.pid}`) !== undefined,
    reportedSeconds: ago(value.at),
    sinceSeconds: ago(value.since),
  };
}

/** Whether the daemon runs: its process exists, and it has not recorded its end. */
export function isRunning({ alive, state }: Forwarder): boolean {
  return alive && state.state !== 'stopped';
}

type Shape = { [key: string]: ((value: unknown) => boolean) | Shape };

/** The maximum number of log files in the state. */
export const mostSources = 200;

const oneLine = (value: unknown) => typeof value === 'string' && value.length < 2000;
const time = (value: unknown) => oneLine(value) && !Number.isNaN(Date.parse(String(value)));
const count = (value: unknown) => Number.isSafeInteger(value) && Number(value) >= 0;
const orNull = (test: (value: unknown) => boolean) => (value: unknown) => value === null || test(value);

const source: Shape = {
  path: oneLine,
  acknowledgedBytes: count,
  behindBytes: count,
  lostBytes: count,
  error: oneLine,
};

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
  sources: (value) =>
    Array.isArray(value) && value.length <= mostSources && value.every((each) => fits(each, source)),
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
