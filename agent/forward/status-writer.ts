import { errorMessage } from '../errors.ts';
import type { Host } from '../host.ts';
import { type ForwardState, forwardFolder, forwardStateFile, heartbeat } from '../observe/forward.ts';
import { type Counts, noCounts } from './counts.ts';
import { parseCursor } from './cursor.ts';
import { lastCursor } from './journalctl.ts';
import type { Progress } from './progress.ts';

const tickMilliseconds = 1000;
const lagMilliseconds = 30_000;

/** Keeps state.json true: at once at a change of state, every second while entries go out, else once a minute. */
export class StatusWriter {
  readonly #host: Host;
  readonly #progress: Progress;
  readonly #trouble: (reason: string) => void;
  readonly #state: ForwardState;
  #counts: Counts = noCounts();
  #session: () => { idle: boolean } | undefined = () => undefined;
  #written = 0;
  #asked = 0;
  #acknowledged = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(host: Host, progress: Progress, trouble: (reason: string) => void) {
    this.#host = host;
    this.#progress = progress;
    this.#trouble = trouble;
    const now = host.now().toISOString();
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
  watch(counts: Counts, session: () => { idle: boolean } | undefined): void {
    this.#counts = this.#state.counts = counts;
    this.#session = session;
    this.#timer = setInterval(() => this.#tick(), tickMilliseconds).unref();
  }

  set(state: ForwardState['state'], target: string, error = ''): void {
    const now = this.#host.now().toISOString();
    // Attempts between failures are no news.
    if (state === 'connecting' && this.#state.state === 'waiting') return;
    if (state !== this.#state.state || target !== this.#state.target) this.#state.since = now;
    Object.assign(this.#state, { state, target, error });
    this.#write();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.set('stopped', this.#state.target, this.#state.error);
  }

  #tick(): void {
    const now = performance.now();
    if (this.#session()?.idle) this.#state.lag = { entries: 0, seconds: 0 };
    else if (now - this.#asked > lagMilliseconds) {
      this.#asked = now;
      void this.#measureLag();
    }
    const moved = this.#counts.acknowledged !== this.#acknowledged;
    if (moved) this.#state.lastAckAt = this.#host.now().toISOString();
    this.#acknowledged = this.#counts.acknowledged;
    if (moved || now - this.#written >= heartbeat) this.#write();
  }

  async #measureLag(): Promise<void> {
    const last = parseCursor((await lastCursor()) ?? '');
    if (last === undefined) return;
    const acknowledged = parseCursor(this.#progress.cursor);
    const comparable = acknowledged?.source === last.source;
    const first = acknowledged?.realtime ?? last.realtime - last.monotonic;
    this.#state.lag = {
      entries: comparable ? Math.max(0, last.sequence - acknowledged.sequence) : null,
      seconds: Math.max(0, (last.realtime - first) / 1_000_000),
    };
    this.#write();
  }

  #write(): void {
    this.#written = performance.now();
    this.#state.at = this.#host.now().toISOString();
    try {
      this.#host.makeFolder(forwardFolder);
      this.#host.writeAtomically(forwardStateFile, `${JSON.stringify(this.#state)}\n`, 0o644);
    } catch (error) {
      this.#trouble(errorMessage(error));
    }
  }
}
