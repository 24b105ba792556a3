import { errorMessage } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';
import { type ForwardState, forwardFolder, forwardStateFile, heartbeat } from '../../facts/forwarder.ts';
import { toJson } from '../../lib/unprintable.ts';
import { type Counts, noCounts } from '../pipeline/counters.ts';
import { parseCursor } from '../journal/cursor.ts';
import { lastCursor } from '../journal/journalctl.ts';
import type { Progress } from '../pipeline/checkpoint.ts';

const tickMilliseconds = 1000;
const lagMilliseconds = 30_000;
/** What a server presents (names in its certificate) may be in it. */
const errorCharacters = 500;
const jumpMilliseconds = 1000;

/** What a connection's session says of itself. */
interface Reading {
  idle: boolean;
  problem: string;
}

/** Keeps state.json true: at once at a change of state, every second while entries go out, else once a minute. */
export class StatusWriter {
  readonly #host: SystemReader;
  readonly #progress: Progress;
  readonly #trouble: (reason: string) => void;
  readonly #state: ForwardState;
  #counts: Counts = noCounts();
  #session: () => Reading | undefined = () => undefined;
  #written = 0;
  /** When everything was acknowledged last. */
  #idle: number | undefined;
  /** What the clock of the day says beyond the one that does not jump. */
  #offset: number;
  #asked = 0;
  #acknowledged = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(reader: SystemReader, progress: Progress, trouble: (reason: string) => void) {
    this.#host = reader;
    this.#progress = progress;
    this.#trouble = trouble;
    this.#offset = this.#clockOffset();
    const now = reader.now().toISOString();
    this.#state = {
      target: '',
      state: 'connecting',
      since: now,
      at: now,
      pid: process.pid,
      lastAckAt: null,
      lag: { entries: null, seconds: 0 },
      counts: this.#counts,
      error: '',
    };
  }

  /** @param session the one that is at work, if any */
  watch(counts: Counts, session: () => Reading | undefined): void {
    this.#counts = this.#state.counts = counts;
    this.#session = session;
    this.#timer = setInterval(() => this.#tick(), tickMilliseconds).unref();
  }

  set(state: ForwardState['state'], target: string, error = ''): void {
    this.#followClock();
    const now = this.#host.now().toISOString();
    // Attempts between failures are no news.
    if (state === 'connecting' && this.#state.state === 'waiting') return;
    if (state !== this.#state.state || target !== this.#state.target) this.#state.since = now;
    Object.assign(this.#state, { state, target, error: error.slice(0, errorCharacters) });
    this.#write();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.set('stopped', this.#state.target, this.#state.error);
  }

  #tick(): void {
    const now = performance.now();
    const session = this.#session();
    const moved = this.#counts.acknowledged !== this.#acknowledged;
    // Between two chunks of a long journal, too, all that was read may be acknowledged.
    const idle = session?.idle === true && !moved;
    const caughtUp = idle && this.#state.lag.entries !== 0;
    if (idle) {
      this.#idle = now;
      this.#state.lag = { entries: 0, seconds: 0 };
    } else if (now - this.#asked > lagMilliseconds) {
      this.#asked = now;
      void this.#measureLag();
    }
    if (moved) this.#state.lastAckAt = this.#host.now().toISOString();
    this.#acknowledged = this.#counts.acknowledged;
    const news = [
      moved,
      caughtUp,
      this.#followClock(),
      this.#tellProblem(session),
      now - this.#written >= heartbeat,
    ];
    if (news.includes(true)) this.#write();
  }

  /** @returns whether there is another problem, or none any more */
  #tellProblem(session: Reading | undefined): boolean {
    if (session === undefined || session.problem === this.#state.error) return false;
    this.#state.error = session.problem;
    return true;
  }

  /** Times that were taken before the clock was set are moved with it. @returns whether it was */
  #followClock(): boolean {
    const jump = this.#clockOffset() - this.#offset;
    if (Math.abs(jump) < jumpMilliseconds) return false;
    this.#offset += jump;
    const moved = (time: string) => new Date(Date.parse(time) + jump).toISOString();
    this.#state.since = moved(this.#state.since);
    if (this.#state.lastAckAt !== null) this.#state.lastAckAt = moved(this.#state.lastAckAt);
    return true;
  }

  #clockOffset(): number {
    return this.#host.now().getTime() - performance.now();
  }

  async #measureLag(): Promise<void> {
    const said = await lastCursor();
    if (said === undefined) this.#state.lag = { entries: null, seconds: null };
    const last = parseCursor(said ?? '');
    if (last === undefined) return;
    const acknowledged = parseCursor(this.#progress.cursor);
    const comparable = acknowledged?.source === last.source;
    // Since the last time that nothing was left, at most: an idle journal's entries may be hours apart.
    const most = this.#idle === undefined ? Infinity : (performance.now() - this.#idle) / 1000;
    const apart = (last.monotonic - (acknowledged?.monotonic ?? 0)) / 1_000_000;
    this.#state.lag = {
      entries: comparable ? Math.max(0, last.sequence - acknowledged.sequence) : null,
      seconds: Math.max(0, Math.min(most, apart)),
    };
    this.#write();
  }

  #write(): void {
    this.#written = performance.now();
    this.#state.at = this.#host.now().toISOString();
    try {
      this.#host.makeFolder(forwardFolder);
      this.#host.writeAtomically(forwardStateFile, `${toJson(this.#state)}\n`, 0o644);
    } catch (error) {
      this.#trouble(errorMessage(error));
    }
  }
}
