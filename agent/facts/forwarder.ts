import * as v from 'valibot';
import { decodeBytes } from '../lib/format.ts';
import { parseRecord } from '../lib/json-record.ts';
import type { SystemReader } from '../system/reader.ts';

export const forwardDirectory = '/run/immutafs/forward';
export const forwardStateFile = `${forwardDirectory}/state.json`;
/** Maximum interval at which the daemon writes its state, in milliseconds. */
export const heartbeat = 60_000;

/** The maximum number of log files in the state. */
export const mostSources = 200;

const oneLine = v.pipe(v.string(), v.maxLength(1999));
/** ISO 8601 */
const time = v.pipe(
  oneLine,
  v.check((text) => !Number.isNaN(Date.parse(text))),
);
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const counts = v.object({
  acknowledged: count,
  /** Sent again because a connection was lost before the acknowledgement; the server may have received them twice. */
  repeated: count,
  /** Removed from the journal before the daemon could read them. */
  lost: count,
  /** Unreadable, because they are corrupt in the journal. */
  corrupt: count,
  /** Refused by the server; a notice was sent instead of the entry. */
  refused: count,
  /** Sent with a truncated MESSAGE. */
  cut: count,
  /** Suppressed by journald, according to its own messages. */
  suppressed: count,
});
/** Number of journal entries since the daemon was started, by outcome. */
export type ForwardCounts = v.InferOutput<typeof counts>;

const source = v.object({
  path: oneLine,
  /** The number of bytes that the server has acknowledged since the daemon was started. */
  acknowledgedBytes: count,
  /** The number of bytes that the server has not acknowledged. */
  behindBytes: count,
  /** The number of bytes that were removed before they could be forwarded. */
  lostBytes: count,
  /** The reason why the file cannot be read; '' if there is no error. */
  error: oneLine,
});
/** The state of a log file that is forwarded. */
export type ForwardSource = v.InferOutput<typeof source>;

const stateSchema = v.object({
  /** The server in use or the server tried last, as written in FORWARD. */
  target: oneLine,
  state: v.picklist(['connecting', 'connected', 'waiting', 'stopped']),
  /** The time at which the daemon entered this state. */
  since: time,
  /** The time of this record. */
  at: time,
  pid: count,
  lastAckAt: v.nullable(time),
  /** The backlog: entries in the journal that the server has not acknowledged; null if unknown. */
  lag: v.object({ entries: v.nullable(count), seconds: v.nullable(v.pipe(v.number(), v.finite())) }),
  counts,
  /** The log files that exist or cannot be read. A forwarder of an earlier version, which is still running, knows none. */
  sources: v.optional(v.pipe(v.array(source), v.maxLength(mostSources)), []),
  /** The number of log files that were removed before the daemon could open them. */
  lostFiles: v.optional(count, 0),
  /** The reason why the daemon is not connected or cannot read the journal; '' if there is no error. */
  error: oneLine,
});
/** The state that the daemon (`immutafs-agent forward`) writes. */
export type ForwardState = v.InferOutput<typeof stateSchema>;

/** Period for which the forwarder, the log server or the network at boot may be unavailable, in seconds. */
export const graceSeconds = 300;

/** The recorded state of the daemon, and whether its process exists. */
export type Forwarder = NonNullable<ReturnType<typeof findForwarder>>;

/**
 * Reads the state of the daemon; undefined if the daemon has not run in this boot. The daemon runs as an unprivileged
 * user, so its file is validated.
 * @throws SystemError; Error for a malformed file
 */
export function findForwarder(reader: SystemReader) {
  const text = reader.readRecord(forwardStateFile, 'directory', 256 * 1024);
  if (text === undefined) return undefined;
  const state = parseRecord(stateSchema, decodeBytes(text), forwardStateFile);
  const ago = (time: string) => (reader.now().getTime() - Date.parse(time)) / 1000;
  return {
    state,
    /** Whether a process with the recorded PID exists. */
    alive: reader.stat(`/proc/${state.pid}`) !== undefined,
    /** Seconds since the daemon wrote the state. */
    reportedSeconds: ago(state.at),
    /** Seconds since the daemon entered the state. */
    sinceSeconds: ago(state.since),
  };
}

/** Whether the daemon runs: its process exists, and it has not recorded its end. */
export function isRunning({ alive, state }: Forwarder): boolean {
  return alive && state.state !== 'stopped';
}
