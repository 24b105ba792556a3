import { createHash } from 'node:crypto';
import {
  type ForwardCounts,
  type ForwardSource,
  type ForwardState,
  forwardDirectory,
  forwardStateFile,
  heartbeat,
  mostSources,
} from '../../facts/forwarder.ts';
import { errorMessage } from '../../lib/errors.ts';
import { limitJson, toJson } from '../../lib/unprintable.ts';
import { lastCursor } from '../../system/journalctl.ts';
import type { SystemReader } from '../../system/reader.ts';
import type { SystemWriter } from '../../system/writer.ts';
import { entriesBetween, parseCursor } from '../../lib/journal-export/cursor.ts';

/** The interval of ticks while something changes, and otherwise. */
const tickMilliseconds = { busy: 1000, quiet: 5000 };
const lagMilliseconds = 30_000;
const jumpMilliseconds = 1000;

interface SessionState {
  idle: boolean;
  problem: string;
}

export function zeroCounts(): ForwardCounts {
  return { acknowledged: 0, repeated: 0, lost: 0, corrupt: 0, refused: 0, cut: 0, suppressed: 0 };
}

interface StatusOptions {
  reader: SystemReader;
  writer: SystemWriter;
  cursor: () => string;
  sources: () => ForwardSource[];
  lostFiles: () => number;
  /** Is called if the file cannot be written. */
  trouble: (reason: string) => void;
}

/**
 * Writes state.json when the state of the connection changes, every second while entries are accepted, at most five
 * seconds after any other change, and at least every minute.
 */
export class StatusWriter {
  readonly #options: StatusOptions;
  readonly #state: ForwardState;
  #session: () => SessionState | undefined = () => undefined;
  #written = 0;
  /** When all entries were last acknowledged; undefined if they never were. */
  #idle: number | undefined;
  /** The difference between the realtime clock and the monotonic clock, in milliseconds. */
  #offset: number;
  #measured = 0;
  #acknowledged = 0;
  #timer: NodeJS.Timeout | undefined;
  #isQuiet = false;
  #isStopped = false;

  constructor(options: StatusOptions) {
    this.#options = options;
    this.#offset = this.#clockOffset();
    const now = this.#now();
    this.#state = {
      ...{ target: '', state: 'connecting', since: now, at: now, pid: process.pid, lastAckAt: null },
      ...{ lag: { entries: null, seconds: 0 }, counts: zeroCounts(), sources: [], lostFiles: 0, error: '' },
    };
  }

  watch(counters: ForwardCounts, session: () => SessionState | undefined): void {
    this.#state.counts = counters;
    this.#session = session;
    this.#schedule(false);
  }

  /** Must be called when something has happened that may change the state. The state is written within a second. */
  wake(): void {
    if (!this.#isQuiet || this.#isStopped) return;
    clearTimeout(this.#timer);
    this.#schedule(false);
  }

  #schedule(isQuiet: boolean): void {
    this.#isQuiet = isQuiet;
    const delay = isQuiet ? tickMilliseconds.quiet : tickMilliseconds.busy;
    this.#timer = setTimeout(() => this.#tick(), delay).unref();
  }

  set(state: ForwardState['state'], target: string, error = ''): void {
    this.#followClock();
    this.#followSources();
    const now = this.#now();
    // An attempt to connect between two failures is not a change of state.
    if (state === 'connecting' && this.#state.state === 'waiting') return;
    if (state !== this.#state.state || target !== this.#state.target) this.#state.since = now;
    Object.assign(this.#state, { state, target, error: limitError(error) });
    this.#write();
    this.wake();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.set('stopped', this.#state.target, this.#state.error);
  }

  #tick(): void {
    const now = performance.now();
    const session = this.#session();
    const moved = this.#state.counts.acknowledged !== this.#acknowledged;
    // While a long journal is read, all entries read so far may be acknowledged before the next chunk is read.
    const idle = session?.idle === true && !moved;
    const caughtUp = idle && this.#state.lag.entries !== 0;
    if (idle) {
      this.#idle = now;
      this.#state.lag = { entries: 0, seconds: 0 };
    } else if (now - this.#measured > lagMilliseconds) {
      this.#measured = now;
      void this.#measureLag();
    }
    if (moved) this.#state.lastAckAt = this.#now();
    this.#acknowledged = this.#state.counts.acknowledged;
    const changes = [
      moved,
      caughtUp,
      this.#followClock(),
      this.#followProblem(session),
      this.#followSources(),
      now - this.#written >= heartbeat,
    ];
    const isChanged = changes.includes(true);
    this.#schedule(!isChanged);
    if (isChanged) this.#write();
  }

  /** @returns whether the session's problem has changed */
  #followProblem(session: SessionState | undefined): boolean {
    if (session === undefined) return false;
    const problem = limitError(session.problem);
    if (problem === this.#state.error) return false;
    this.#state.error = problem;
    return true;
  }

  /** @returns whether a log file appeared, was lost, lost bytes, or became readable or unreadable */
  #followSources(): boolean {
    const before = this.#state.sources;
    const now = this.#options.sources().slice(0, mostSources).map(limitSource);
    this.#state.sources = now;
    const lostFiles = this.#state.lostFiles;
    this.#state.lostFiles = this.#options.lostFiles();
    if (this.#state.lostFiles !== lostFiles) return true;
    const same = ({ path, lostBytes, error }: ForwardSource, index: number) =>
      before[index]?.path === path && before[index].lostBytes === lostBytes && before[index].error === error;
    return before.length !== now.length || !now.every(same);
  }

  /** If the clock was set, shifts the earlier timestamps by the same amount. @returns whether the clock was set */
  #followClock(): boolean {
    const jump = this.#clockOffset() - this.#offset;
    if (Math.abs(jump) < jumpMilliseconds) return false;
    this.#offset += jump;
    const moved = (time: string) => new Date(Date.parse(time) + jump).toISOString();
    this.#state.since = moved(this.#state.since);
    if (this.#state.lastAckAt !== null) this.#state.lastAckAt = moved(this.#state.lastAckAt);
    return true;
  }

  #now(): string {
    return this.#options.reader.now().toISOString();
  }

  #clockOffset(): number {
    return this.#options.reader.now().getTime() - performance.now();
  }

  async #measureLag(): Promise<void> {
    const text = await lastCursor();
    if (text === undefined) this.#state.lag = { entries: null, seconds: null };
    const last = parseCursor(text ?? '');
    if (last === undefined) return;
    const acknowledged = parseCursor(this.#options.cursor());
    // The lag is at most the time since all entries were acknowledged. Otherwise, the first entry after hours without
    // any would count as hours of lag.
    const most = this.#idle === undefined ? Infinity : (performance.now() - this.#idle) / 1000;
    const apart = (last.monotonic - (acknowledged?.monotonic ?? 0)) / 1_000_000;
    this.#state.lag = {
      entries: entriesBetween(acknowledged, last),
      seconds: Math.max(0, Math.min(most, apart)),
    };
    this.#write();
  }

  #write(): void {
    this.#written = performance.now();
    this.#state.at = this.#now();
    const counts = Object.entries(this.#state.counts).map(([key, count]) => [key, saturated(count)]);
    const state = { ...this.#state, counts: Object.fromEntries(counts) as ForwardCounts };
    const { writer, trouble } = this.#options;
    try {
      writer.makeDirectory(forwardDirectory, 0o755);
      writer.writeAtomically(forwardStateFile, `${toJson(state)}\n`, 0o644);
    } catch (error) {
      trouble(errorMessage(error));
    }
  }
}

/**
 * The maximum length of an error, which may quote text from a server, such as the names in its certificate, and of the
 * name of a log file, in bytes of JSON. With the maximum number of log files, the state is smaller than its readers
 * accept.
 */
const errorBytes = 500;
const pathBytes = 300;

/**
 * Limits what the owner of a log file chooses, because the readers of the state accept neither a large text nor an
 * inexact number: names may consist of control characters, and a sparse file may seem to contain 4 EiB.
 */
function limitSource(source: ForwardSource): ForwardSource {
  return {
    path: limitPath(source.path),
    acknowledgedBytes: saturated(source.acknowledgedBytes),
    behindBytes: saturated(source.behindBytes),
    lostBytes: saturated(source.lostBytes),
    error: limitError(source.error),
  };
}

/** Different paths remain different, because the metrics have the path as a label. */
function limitPath(path: string): string {
  const limited = limitJson(path, pathBytes);
  if (limited === path) return path;
  const digest = createHash('sha256').update(path).digest('hex').slice(0, 16);
  return `${limitJson(path, pathBytes - digest.length - 1)}~${digest}`;
}

function limitError(error: string): string {
  return limitJson(error, errorBytes);
}

/** Limits a number, to which a gap in the journal may add any number. */
function saturated(count: number): number {
  return Math.min(count, Number.MAX_SAFE_INTEGER);
}
