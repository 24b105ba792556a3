import { decodeBytes, parseJson } from '../lib/format.ts';
import type { SystemReader } from '../system/reader.ts';

export const forwardFolder = '/run/immutafs/forward';
export const forwardStateFile = `${forwardFolder}/state.json`;
/** How often the daemon says at least that it is there, in milliseconds. */
export const heartbeat = 60_000;

/** What became of entries since the daemon was started. */
export interface ForwardCounts {
  acknowledged: number;
  /** On their way when a connection was lost, and sent again: the server may have had them. */
  repeated: number;
  /** Gone from the journal before they could be read. */
  lost: number;
  /** Broken in the journal. */
  corrupt: number;
  /** Given up because the server would not take them; a note was sent in their place. */
  refused: number;
  /** Sent without the end of a MESSAGE that is too long. */
  cut: number;
  /** That journald itself suppressed, by its own account. */
  suppressed: number;
}

/** What the daemon (`forward`) says of itself. */
export interface ForwardState {
  /** The server in use, or the one tried last, as in FORWARD. */
  target: string;
  state: 'connecting' | 'connected' | 'waiting' | 'stopped';
  /** ISO 8601: since when it is in this state. */
  since: string;
  /** When this was written. */
  at: string;
  pid: number;
  lastAckAt: string | null;
  /** What is in the journal and not acknowledged; null where that is not known. */
  lag: { entries: number | null; seconds: number | null };
  counts: ForwardCounts;
  /** Why it is not connected, or why the journal cannot be read though it is; '' where all is well. */
  error: string;
}

/** The daemon as it is seen from outside. */
export interface Forwarder {
  state: ForwardState;
  /** Whether a process has its number. */
  alive: boolean;
  reportedSeconds: number;
  sinceSeconds: number;
}

/**
 * The daemon; undefined where it has not run in this boot. It runs as a user of its own, who is not
 * trusted: what does not have the form is an Error.
 * @throws HostError, Error
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
