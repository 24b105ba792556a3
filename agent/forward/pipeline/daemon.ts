import type { Config } from '../../config/config.ts';
import type { ForwardCounts } from '../../facts/forwarder.ts';
import { errorMessage } from '../../lib/errors.ts';
import type { Clock } from '../../system/clock.ts';
import type { SystemReader } from '../../system/reader.ts';
import { FileReader } from '../files/file-reader.ts';
import type { LogFiles } from '../files/log-files.ts';
import { type FirstBoot, journalReaders } from '../journal/earlier-boots.ts';
import type { RateLimitedLog } from '../status/rate-limited-log.ts';
import { type StatusWriter, zeroCounts } from '../status/status-writer.ts';
import { protocolOf } from '../transport/protocols.ts';
import type { Target } from '../../config/forward-target.ts';
import type { Transport } from '../stages.ts';
import type { Checkpoint } from './checkpoint.ts';
import { Backoff, Failover } from './failover.ts';
import { Quarantine } from './quarantine.ts';
import { Session } from './session.ts';

interface DaemonOptions {
  reader: SystemReader;
  targets: Target[];
  config: Config;
  clock: Clock;
  hostname: string;
  checkpoint: Checkpoint;
  files: LogFiles;
  /** Where to begin if no cursor is known. */
  firstBoot: FirstBoot;
  status: StatusWriter;
  log: RateLimitedLog;
}

interface ConnectedTarget {
  target: Target;
  transport: Transport;
}

/** A connection that ends within this time without an acknowledgement is a failure, even if nothing was sent. */
const briefMilliseconds = 10_000;

/**
 * Forwards until it is stopped. Uses the first server that answers and accepts entries, and returns to a preferred
 * server when that server is available again.
 */
export class Daemon {
  readonly counters: ForwardCounts = zeroCounts();
  readonly #options: DaemonOptions;
  readonly #quarantine = new Quarantine();
  readonly #backoff = new Backoff();
  readonly #failover: Failover;
  readonly #abort = new AbortController();
  #session: Session | undefined;
  /** A preferred server that answered while another server was in use. */
  #preferred: ConnectedTarget | undefined;
  #stopping = false;
  #returnTimer: NodeJS.Timeout | undefined;
  #wake: () => void = () => undefined;

  constructor(options: DaemonOptions) {
    this.#options = options;
    this.#failover = new Failover(options.targets);
    options.status.watch(this.counters, () => this.#session);
  }

  async run(): Promise<void> {
    while (!this.#stopping) {
      const connected = this.#preferred ?? (await this.#connect(this.#failover.order()));
      this.#preferred = undefined;
      if (connected === undefined) await this.#pause();
      else await this.#forward(connected);
    }
    this.#preferred?.transport.destroy();
  }

  /** Sends a message from the agent itself. @returns whether a server is connected */
  notify(text: string): boolean {
    this.#session?.notify(text);
    return this.connected;
  }

  /** Stops reading. `run` returns when every entry that was already read is acknowledged. */
  finish(): void {
    this.#stopping = true;
    this.#wake();
    this.#session?.finish();
  }

  /** Closes every connection, including those that are being established. Nothing is logged or reported afterwards. */
  abort(): void {
    this.finish();
    this.#abort.abort();
  }

  get connected(): boolean {
    return this.#session !== undefined;
  }

  /** Whether the end of the log was reached and every entry is acknowledged. */
  get idle(): boolean {
    return this.#session?.idle ?? false;
  }

  async #connect(targets: Target[]): Promise<ConnectedTarget | undefined> {
    const { reader, config } = this.#options;
    const { signal } = this.#abort;
    for (const target of targets) {
      if (this.#stopping) return undefined;
      try {
        if (this.#session === undefined) this.#options.status.set('connecting', target.text);
        return { target, transport: await protocolOf(target).connect(target, { reader, config, signal }) };
      } catch (error) {
        // No message is logged if a preferred server is unavailable while another server is in use.
        if (this.#session === undefined) this.#reportWaiting(target, errorMessage(error));
      }
    }
    return undefined;
  }

  async #forward({ target, transport }: ConnectedTarget): Promise<void> {
    const { clock, hostname, checkpoint, files, firstBoot, status, log } = this.#options;
    const { fields, createEncoder, window, sparse, queueBytes } = protocolOf(target);
    const [before, begin] = [this.counters.acknowledged, performance.now()];
    const session = new Session({
      ...{ transport, checkpoint, window, sparse, queueBytes },
      createReader: journalReaders(fields, clock.bootId, firstBoot),
      createFileReader: (events) => new FileReader(files, events),
      encoder: createEncoder(clock, hostname),
      quarantine: this.#quarantine,
      counters: this.counters,
      trouble: (reason) => {
        log.log('trouble', reason);
        status.wake();
      },
      acknowledged: () => status.wake(),
    });
    this.#session = session;
    const running = session.run();
    // The session has opened the log files, so that this state lists them: a check may read it at once.
    status.set('connected', target.text);
    log.log('connected', target.text);
    this.#scheduleReturn(target, this.#failover.returnDelay(0));
    if (this.#stopping) session.finish();
    const reason = await running;
    clearTimeout(this.#returnTimer);
    this.#session = undefined;
    const brief = performance.now() - begin < briefMilliseconds;
    if (this.counters.acknowledged > before) {
      this.#backoff.reset();
      this.#failover.delivered(target);
    } else if (reason !== undefined && (brief || session.unacknowledged))
      this.#failover.deliveredNothing(target);
    if (reason === undefined) return;
    this.#reportWaiting(target, reason.message);
    await this.#pause();
  }

  #reportWaiting({ text }: Target, reason: string): void {
    if (this.#abort.signal.aborted) return;
    this.#options.status.set('waiting', text, reason);
    this.#options.log.log('waiting', `${text}: ${reason}`);
  }

  #scheduleReturn(target: Target, milliseconds: number): void {
    if (this.#failover.preferredOver(target).length === 0) return;
    this.#returnTimer = setTimeout(() => {
      void this.#tryPreferred(target).then((done) => {
        if (!done) this.#scheduleReturn(target, this.#failover.returnDelay(milliseconds));
      });
    }, milliseconds);
  }

  /** Tries the servers that are preferred over the current one. @returns whether the current session is over */
  async #tryPreferred(target: Target): Promise<boolean> {
    const session = this.#session;
    const preferred = await this.#connect(this.#failover.preferredOver(target));
    if (preferred === undefined) return this.#session !== session;
    if (session === undefined || this.#session !== session) {
      preferred.transport.destroy();
      return true;
    }
    this.#preferred = preferred;
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
