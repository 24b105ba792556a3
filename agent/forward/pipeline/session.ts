import type { Encoder, OutgoingMessage } from '../encode/encoder.ts';
import { GapDetector, suppressedCount, suppressionId } from '../journal/gap-detector.ts';
import type { CreateReader, LogEntry, Reader } from '../reader.ts';
import { PendingCounters } from '../status/counters.ts';
import { RefusedError, type Transport } from '../transport/transport.ts';
import type { Checkpoint } from './checkpoint.ts';
import type { Quarantine } from './quarantine.ts';
import { SendQueue, type SendQueueOptions } from './send-queue.ts';

export interface SessionOptions extends SendQueueOptions {
  createReader: CreateReader;
  encoder: Encoder;
  /** Reading pauses while more than this number of bytes is queued. */
  queueBytes: number;
  trouble: (reason: string) => void;
}

/**
 * Runs the pipeline of one connection: reader, encoder, send queue, transport and checkpoint. Begins after the last
 * acknowledged entry.
 */
export class Session {
  readonly #options: SessionOptions;
  readonly #transport: Transport;
  readonly #checkpoint: Checkpoint;
  readonly #quarantine: Quarantine;
  readonly #reader: Reader;
  readonly #queue: SendQueue;
  readonly #gaps: GapDetector;
  readonly #pending: PendingCounters;
  #finishing = false;
  /** Whether the last item was a piece of an incomplete entry. */
  #withinEntry = false;
  #settle: (error: Error | undefined) => void = () => undefined;

  constructor(options: SessionOptions) {
    const { transport, checkpoint, quarantine, counters, createReader, trouble } = options;
    this.#options = options;
    this.#transport = transport;
    this.#checkpoint = checkpoint;
    this.#quarantine = quarantine;
    this.#queue = new SendQueue(options);
    this.#gaps = new GapDetector(checkpoint.cursor);
    this.#pending = new PendingCounters(counters);
    this.#reader = createReader(checkpoint.cursor, { entries: (entries) => this.#take(entries), trouble });
  }

  /** @returns why the session ended; undefined if `finish` was called and every message is acknowledged */
  async run(): Promise<Error | undefined> {
    const reason = await new Promise<Error | undefined>((resolve) => {
      this.#settle = resolve;
      this.#transport.listen({
        acknowledged: (count) => this.#acknowledged(count),
        drained: () => this.#advance(),
        failed: (error) => resolve(error),
      });
      if (this.#finishing) this.#advance();
      else this.#reader.start();
    });
    this.#reader.stop();
    this.#checkpoint.save();
    this.#queue.close();
    if (reason instanceof RefusedError) this.#quarantine.refused(this.#queue.suspects(reason));
    if (reason === undefined) await this.#transport.close();
    else this.#transport.destroy();
    return reason;
  }

  /** Stops reading. `run` returns when every entry that was already read is acknowledged. */
  finish(): void {
    this.#finishing = true;
    this.#reader.stop();
    this.#advance();
  }

  /** Whether the reader has reached the end of the log and every entry is acknowledged. */
  get idle(): boolean {
    return this.#reader.settled && this.#queue.idle;
  }

  /** Whether any message is not sent or not acknowledged. */
  get unacknowledged(): boolean {
    return !this.#queue.idle;
  }

  /** The reason why the log cannot be read; '' if it can be read. */
  get problem(): string {
    return this.#reader.problem;
  }

  #take(entries: LogEntry[]): void {
    if (this.#finishing) return;
    const encoder = this.#options.encoder;
    const quarantine = this.#quarantine;
    const { active } = quarantine;
    const out: OutgoingMessage[] = [];
    for (const entry of entries) {
      const { kind, cursor, text, cut } = entry;
      const within = this.#withinEntry;
      if (!within && cursor !== '') {
        const missing = this.#gaps.missingBefore(cursor);
        if (missing > 0) this.#reportMissing(missing, cursor, out);
        if (active && quarantine.isSuspect(cursor))
          encoder.encodeNotice(`The server has refused the journal entry ${cursor}: last attempt`, out);
      }
      const skipped = active && quarantine.has(cursor);
      this.#withinEntry = kind === 'piece' && !skipped;
      if (kind === 'entry' && cursor !== '') {
        if (skipped) this.#replaceRefused(cursor, out);
        else encoder.encode(entry, out);
        if (cut > 0) this.#pending.add('cut', 1, cursor);
        if (text.includes(suppressionId)) this.#pending.add('suppressed', suppressedCount(text), cursor);
      } else if (kind === 'piece') {
        if (!skipped) out.push({ text, cursor: '', continues: true });
      } else if (within) {
        this.#abandon(cursor);
        return;
      } else this.#reportUnreadable(cursor, out);
    }
    this.#queue.add(out);
    this.#advance();
  }

  #reportMissing(count: number, cursor: string, out: OutgoingMessage[]): void {
    this.#pending.add('lost', count, cursor);
    this.#options.encoder.encodeNotice(missingText(count), out);
  }

  #replaceRefused(cursor: string, out: OutgoingMessage[]): void {
    this.#pending.add('refused', 1, cursor);
    this.#options.encoder.encodeNotice(refusedText(cursor), out);
    const last = out.at(-1);
    if (last !== undefined) last.cursor = cursor;
  }

  #reportUnreadable(cursor: string, out: OutgoingMessage[]): void {
    this.#pending.add('corrupt', 1, cursor);
    this.#options.encoder.encodeNotice(unreadableText(cursor), out);
  }

  /** The server holds a partial entry; only a new connection discards it. */
  #abandon(cursor: string): void {
    this.#quarantine.add(cursor);
    this.#settle(new Error(`the journal entry ${cursor} is corrupt and was already sent in part`));
  }

  #acknowledged(count: number): void {
    this.#queue.acknowledge(count);
    for (const { key, count: entries } of this.#pending.acknowledged(this.#checkpoint.cursor))
      if (key === 'lost') this.#options.trouble(missingText(entries));
    this.#advance();
  }

  /** Sends queued messages, then pauses or resumes the reader, or ends the session. */
  #advance(): void {
    this.#queue.send();
    if (this.#finishing) {
      if (this.#withinEntry) this.#settle(new Error('stopped within an entry'));
      else if (this.#queue.idle) this.#settle(undefined);
    } else if (this.#queue.waitingBytes > this.#options.queueBytes) this.#reader.pause();
    else this.#reader.resume();
  }
}

/** The notices that are sent instead of entries that cannot be sent. */
export const missingText = (count: number) =>
  `${count} journal entries were deleted before they could be forwarded`;
export const unreadableText = (cursor: string) =>
  `The journal entry ${cursor || 'without a cursor'} cannot be read`;
export const refusedText = (cursor: string) =>
  `The server refused the journal entry ${cursor}; it was skipped`;
