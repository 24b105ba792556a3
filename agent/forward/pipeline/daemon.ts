import type { Config } from '../../config/config.ts';
import { errorMessage } from '../../lib/errors.ts';
import { Backoff } from './backoff.ts';
import type { Clock } from '../../system/clock.ts';
import { type Counts, noCounts } from './counters.ts';
import { Preference } from './failover.ts';
import type { Progress } from './checkpoint.ts';
import { speech } from '../transport/protocols.ts';
import { Refusals } from './quarantine.ts';
import { Session } from './session.ts';
import type { StatusWriter } from '../status/status-writer.ts';
import type { Target } from '../transport/target.ts';
import type { Transport } from '../transport/transport.ts';
import type { Voice } from '../status/rate-limited-log.ts';

export interface DaemonOptions {
  targets: Target[];
  config: Config;
  clock: Clock;
  hostname: string;
  progress: Progress;
  status: StatusWriter;
  voice: Voice;
}

interface Connection {
  target: Target;
  transport: Transport;
}

/** A connection that ends so soon was good for nothing even where nothing was sent yet. */
const briefMilliseconds = 10_000;

/**
 * Forwards until it is told to stop: the first server that answers and takes something, and back to the preferred
 * one.
 */
export class Daemon {
  readonly counts: Counts = noCounts();
  readonly #options: DaemonOptions;
  readonly #refusals = new Refusals();
  readonly #backoff = new Backoff();
  readonly #preference: Preference;
  #session: Session | undefined;
  #better: Connection | undefined;
  #stopping = false;
  #returning: NodeJS.Timeout | undefined;
  #wake: () => void = () => undefined;

  constructor(options: DaemonOptions) {
    this.#options = options;
    this.#preference = new Preference(options.targets);
    options.status.watch(this.counts, () => this.#session);
  }

  async run(): Promise<void> {
    while (!this.#stopping) {
      const connection = this.#better ?? (await this.#connect(this.#preference.inOrder()));
      this.#better = undefined;
      if (connection === undefined) await this.#pause();
      else await this.#converse(connection);
    }
    this.#better?.transport.destroy();
  }

  /** Sends what was read already, and ends. */
  finish(): void {
    this.#stopping = true;
    this.#wake();
    this.#session?.finish();
  }

  get connected(): boolean {
    return this.#session !== undefined;
  }

  /** Whether everything that was read is acknowledged. */
  get idle(): boolean {
    return this.#session?.idle ?? false;
  }

  async #connect(targets: Target[]): Promise<Connection | undefined> {
    const { config, status, voice } = this.#options;
    for (const target of targets) {
      if (this.#stopping) return undefined;
      try {
        if (this.#session === undefined) status.set('connecting', target.text);
        return { target, transport: await speech(target).connect(target, config) };
      } catch (error) {
        // A better server that is tried while another one serves may be away as long as it likes.
        if (this.#session !== undefined) continue;
        status.set('waiting', target.text, errorMessage(error));
        voice.waiting(target.text, errorMessage(error));
      }
    }
    return undefined;
  }

  async #converse({ target, transport }: Connection): Promise<void> {
    const { clock, hostname, progress, status, voice } = this.#options;
    const { mode, encoder, window, step, sparse, queueBytes } = speech(target);
    const [before, begin] = [this.counts.acknowledged, performance.now()];
    const session = new Session({
      transport,
      mode,
      encoder: encoder(clock, hostname),
      progress,
      refusals: this.#refusals,
      counts: this.counts,
      window,
      step,
      sparse,
      queueBytes,
      trouble: (reason) => voice.trouble(reason),
    });
    this.#session = session;
    status.set('connected', target.text);
    voice.connected(target.text);
    this.#returnLater(target, this.#preference.pause(0));
    if (this.#stopping) session.finish();
    const reason = await session.run();
    clearTimeout(this.#returning);
    this.#session = undefined;
    const brief = performance.now() - begin < briefMilliseconds;
    if (this.counts.acknowledged > before) {
      this.#backoff.reset();
      this.#preference.took(target);
    } else if (reason !== undefined && (brief || session.unanswered)) this.#preference.tookNothing(target);
    if (reason === undefined) return;
    status.set('waiting', target.text, reason.message);
    voice.waiting(target.text, reason.message);
    if (!this.#stopping) await this.#pause();
  }

  #returnLater(target: Target, milliseconds: number): void {
    if (this.#preference.better(target).length === 0) return;
    this.#returning = setTimeout(() => {
      void this.#return(target).then((done) => {
        if (!done) this.#returnLater(target, this.#preference.pause(milliseconds));
      });
    }, milliseconds);
  }

  /** While a server serves that is not the preferred one. @returns whether that is over */
  async #return(target: Target): Promise<boolean> {
    const session = this.#session;
    const better = await this.#connect(this.#preference.better(target));
    if (better === undefined) return this.#session !== session;
    if (session === undefined || this.#session !== session) {
      better.transport.destroy();
      return true;
    }
    this.#better = better;
    session.finish();
    return true;
  }

  #pause(): Promise<void> {
    if (this.#stopping) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.#backoff.next());
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
