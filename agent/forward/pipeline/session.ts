import type { Entry } from '../journal/entry.ts';
import { GapCounter } from '../journal/gap-detector.ts';
import type { Encoder, Message } from '../encode/message.ts';
import { Outbox } from './send-queue.ts';
import type { Progress } from './checkpoint.ts';
import type { Refusals } from './quarantine.ts';
import { Source } from '../journal/journal-reader.ts';
import type { Counts } from './counters.ts';
import { suppressed, suppression } from '../journal/suppression.ts';
import { Tally } from './pending-counters.ts';
import type { ParserMode } from '../journal/tokenizer.ts';
import { RefusedError, type Transport } from '../transport/transport.ts';

export interface SessionOptions {
  transport: Transport;
  mode: ParserMode;
  encoder: Encoder;
  progress: Progress;
  refusals: Refusals;
  counts: Counts;
  /** Messages that may be sent and not be in the saved cursor. */
  window: number;
  /** How many are sent at once where more wait. */
  step: number;
  /** Only the last cursor of a batch counts (no acknowledgements of single messages). */
  sparse: boolean;
  /** How much may wait for the server before reading pauses, in bytes. */
  queueBytes: number;
  trouble: (reason: string) => void;
}

/** One connection's work: from the journal, after the last acknowledged entry, to the server. */
export class Session {
  readonly #options: SessionOptions;
  readonly #source: Source;
  readonly #outbox: Outbox;
  readonly #gaps: GapCounter;
  readonly #tally: Tally;
  #finishing = false;
  /** The last that was read is a piece of an entry that goes on. */
  #within = false;
  #settle: (error: Error | undefined) => void = () => undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#outbox = new Outbox(options);
    this.#gaps = new GapCounter(options.progress.cursor);
    this.#tally = new Tally(options.counts);
    this.#source = new Source(options.mode, options.progress.cursor, {
      entries: (entries) => this.#take(entries),
      trouble: options.trouble,
    });
  }

  /** @returns undefined when it was told to finish and everything read is acknowledged, or why it ended */
  async run(): Promise<Error | undefined> {
    const { transport, progress } = this.#options;
    const reason = await new Promise<Error | undefined>((resolve) => {
      this.#settle = resolve;
      transport.listen({
        acknowledged: (count) => this.#acknowledged(count),
        drained: () => this.#move(),
        failed: (error) => resolve(error),
      });
      if (this.#finishing) this.#move();
      else this.#source.start();
    });
    this.#source.stop();
    progress.save();
    this.#outbox.close();
    if (reason instanceof RefusedError) this.#options.refusals.refused(this.#outbox.suspects(reason));
    if (reason === undefined) await transport.close();
    else transport.destroy();
    return reason;
  }

  /** Reads no more; `run` returns once the rest is acknowledged. */
  finish(): void {
    this.#finishing = true;
    this.#source.stop();
    this.#move();
  }

  /** Whether the journal has been read so far and all of it is acknowledged. */
  get idle(): boolean {
    return this.#source.settled && this.#outbox.idle;
  }

  /** Whether the server has not said yet that it has what was sent, or takes no more. */
  get unanswered(): boolean {
    return !this.#outbox.idle;
  }

  /** Why the journal cannot be read; '' where it can. */
  get problem(): string {
    return this.#source.problem;
  }

  #take(entries: Entry[]): void {
    if (this.#finishing) return;
    const { encoder, refusals } = this.#options;
    const { wary } = refusals;
    const out: Message[] = [];
    for (const { kind, cursor, text, message, cut } of entries) {
      const within = this.#within;
      if (!within && cursor !== '') {
        const missing = this.#gaps.count(cursor);
        if (missing > 0) this.#missing(missing, cursor, out);
        if (wary && refusals.doubts(cursor)) this.#ask(cursor, out);
      }
      const givenUp = wary && refusals.gaveUp(cursor);
      this.#within = kind === 'piece' && !givenUp;
      if (kind === 'entry' && cursor !== '') {
        if (givenUp) this.#stub(cursor, out);
        else encoder.entry(cursor, text, message, cut, out);
        if (cut > 0) this.#tally.add('cut', 1, cursor);
        if (text.includes(suppression)) this.#tally.add('suppressed', suppressed(text), cursor);
      } else if (kind === 'piece') {
        if (!givenUp) out.push({ text, cursor: '', goesOn: true });
      } else if (within) {
        this.#brokeOff(cursor);
        return;
      } else this.#unreadable(cursor, out);
    }
    this.#outbox.add(out);
    this.#move();
  }

  #missing(count: number, cursor: string, out: Message[]): void {
    this.#tally.add('lost', count, cursor);
    this.#options.encoder.notice(gone(count), out);
  }

  /** A note that the server takes, and then not the entry, says that it is the entry's fault. */
  #ask(cursor: string, out: Message[]): void {
    this.#options.encoder.notice(`The server has refused the journal entry ${cursor}: once more`, out);
  }

  #stub(cursor: string, out: Message[]): void {
    this.#tally.add('refused', 1, cursor);
    this.#options.encoder.notice(`The server would not take the journal entry ${cursor}`, out);
    const last = out.at(-1);
    if (last !== undefined) last.cursor = cursor;
  }

  #unreadable(cursor: string, out: Message[]): void {
    this.#tally.add('corrupt', 1, cursor);
    this.#options.encoder.notice(`The journal entry ${cursor || 'without a cursor'} cannot be read`, out);
  }

  /** The server has its first pieces, or waits for more: only another connection leaves them behind. */
  #brokeOff(cursor: string): void {
    this.#options.refusals.giveUp(cursor);
    this.#settle(new Error(`the journal entry ${cursor} broke off after it was begun to be sent`));
  }

  #acknowledged(count: number): void {
    this.#outbox.acknowledged(count);
    for (const { key, count: entries } of this.#tally.reached(this.#options.progress.cursor))
      if (key === 'lost') this.#options.trouble(gone(entries));
    this.#move();
  }

  #move(): void {
    this.#outbox.send();
    if (this.#finishing) {
      if (this.#within) this.#settle(new Error('told to finish within an entry'));
      else if (this.#outbox.idle) this.#settle(undefined);
    } else if (this.#outbox.waitingBytes > this.#options.queueBytes) this.#source.pause();
    else this.#source.resume();
  }
}

const gone = (count: number) => `${count} journal entries were gone before they could be forwarded`;
