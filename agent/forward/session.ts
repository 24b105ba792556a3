import type { Entry } from './entry.ts';
import { GapCounter } from './gap.ts';
import type { Encoder, Message } from './message.ts';
import { Outbox } from './outbox.ts';
import type { Progress } from './progress.ts';
import type { Refusals } from './refusals.ts';
import { Source } from './source.ts';
import type { Counts } from './counts.ts';
import type { ParserMode } from './tokenizer.ts';
import { RefusedError, type Transport } from './transport.ts';

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
  #finishing = false;
  #settle: (error: Error | undefined) => void = () => undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#outbox = new Outbox(options);
    this.#gaps = new GapCounter(options.progress.cursor);
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
      this.#source.start();
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

  /** Whether everything that was read is acknowledged. */
  get idle(): boolean {
    return this.#outbox.idle;
  }

  #take(entries: Entry[]): void {
    if (this.#finishing) return;
    const { encoder, counts, refusals } = this.#options;
    const out: Message[] = [];
    for (const { kind, cursor, text, message, cut } of entries) {
      if (kind === 'entry' && cursor !== '') {
        const missing = this.#gaps.count(cursor);
        if (missing > 0) this.#missing(missing, out);
        if (refusals.gaveUp(cursor)) this.#stub(cursor, out);
        else encoder.entry(cursor, text, message, cut, out);
        if (cut > 0) counts.cut += 1;
        if (text.includes(suppression)) counts.suppressed += suppressed(text);
      } else if (kind === 'piece') {
        if (!refusals.gaveUp(cursor)) out.push({ text, cursor: '' });
      } else this.#unreadable(cursor, out);
    }
    this.#outbox.add(out);
    this.#move();
  }

  #missing(count: number, out: Message[]): void {
    this.#options.counts.lost += count;
    const text = `${count} journal entries were gone before they could be forwarded`;
    this.#options.encoder.notice(text, out);
    this.#options.trouble(text);
  }

  #stub(cursor: string, out: Message[]): void {
    this.#options.counts.refused += 1;
    this.#options.encoder.notice(`The server would not take the journal entry ${cursor}`, out);
    const last = out.at(-1);
    if (last !== undefined) last.cursor = cursor;
  }

  #unreadable(cursor: string, out: Message[]): void {
    this.#options.counts.corrupt += 1;
    if (this.#outbox.midEntry) {
      this.#settle(new Error('an entry broke off within'));
      return;
    }
    this.#options.encoder.notice(`The journal entry ${cursor || 'without a cursor'} cannot be read`, out);
    if (cursor !== '') this.#gaps.count(cursor);
  }

  #acknowledged(count: number): void {
    this.#outbox.acknowledged(count);
    this.#move();
  }

  #move(): void {
    this.#outbox.send();
    if (this.#finishing) {
      if (this.#outbox.idle) this.#settle(undefined);
    } else if (this.#outbox.waitingBytes > this.#options.queueBytes) this.#source.pause();
    else this.#source.resume();
  }
}

/** sd-messages.h, SD_MESSAGE_JOURNAL_DROPPED. */
const suppression = '\nMESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e\n';

/** Only journald itself is believed; anybody may log such a MESSAGE_ID. */
function suppressed(text: string): number {
  if (!text.includes('\n_TRANSPORT=driver\n')) return 0;
  return Number(/\nMESSAGE=Suppressed ([0-9]{1,9}) messages? /.exec(text)?.[1] ?? 0);
}
