import type { Counts } from './counters.ts';
import { InFlight } from './unacknowledged.ts';
import type { Message } from '../encode/message.ts';
import type { Progress } from './checkpoint.ts';
import type { Refusals } from './quarantine.ts';
import type { RefusedError, Transport } from '../transport/transport.ts';

export interface OutboxOptions {
  transport: Transport;
  progress: Progress;
  refusals: Refusals;
  counts: Counts;
  window: number;
  step: number;
  sparse: boolean;
}

/** Messages that wait for the server, and those that wait for its answer. */
export class Outbox {
  readonly #options: OutboxOptions;
  #queue: Message[] = [];
  /** How much of the queue is sent. */
  #sent = 0;
  readonly #inFlight: InFlight;
  #closed = false;
  waitingBytes = 0;

  constructor(options: OutboxOptions) {
    this.#options = options;
    this.#inFlight = new InFlight(options.sparse);
  }

  add(messages: Message[]): void {
    for (const { text } of messages) this.waitingBytes += text.length;
    this.#queue =
      this.#sent === this.#queue.length ? messages : [...this.#queue.slice(this.#sent), ...messages];
    this.#sent = 0;
  }

  /** Messages that the server does not take yet. */
  get waiting(): number {
    return this.#queue.length - this.#sent;
  }

  get idle(): boolean {
    return this.waiting === 0 && this.#inFlight.length === 0;
  }

  /** Sends what the server takes and the window allows. */
  send(): void {
    const { transport, progress, refusals, window, step } = this.#options;
    for (;;) {
      if (this.#closed || this.waiting === 0) return;
      const allowed = window - this.#inFlight.length - progress.unsaved;
      const count = Math.min(this.waiting, transport.room(), allowed, refusals.limit);
      if (count < Math.max(1, Math.min(this.waiting, refusals.limit, step))) return;
      const batch =
        count === this.#queue.length ? this.#queue : this.#queue.slice(this.#sent, this.#sent + count);
      this.#sent += count;
      if (this.waiting === 0) this.waitingBytes = 0;
      else for (const { text } of batch) this.waitingBytes -= text.length;
      this.#inFlight.add(batch);
      transport.send(batch);
    }
  }

  acknowledged(count: number): void {
    const { progress, refusals, counts } = this.#options;
    const { entries, cursor } = this.#inFlight.answer(count);
    counts.acknowledged += entries;
    refusals.accepted(count);
    if (cursor !== '') progress.acknowledge(entries, cursor);
  }

  /** The cursors of the messages that a refusal may be about. */
  suspects({ first, count }: RefusedError): string[] {
    const cursors = this.#inFlight.cursors(first);
    if (count > 1) return cursors.slice(0, count);
    const cursor = cursors.find((each) => each !== '');
    return cursor === undefined ? [] : [cursor];
  }

  /** Nothing more is sent. What has no answer will be sent again. */
  close(): void {
    this.#closed = true;
    this.#options.counts.repeated += this.#inFlight.entries;
  }
}
