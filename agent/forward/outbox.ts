import type { Counts } from './counts.ts';
import type { Message } from './message.ts';
import type { Progress } from './progress.ts';
import type { Refusals } from './refusals.ts';
import type { RefusedError, Transport } from './transport.ts';

export interface OutboxOptions {
  transport: Transport;
  progress: Progress;
  refusals: Refusals;
  counts: Counts;
  window: number;
  sparse: boolean;
}

/** Messages that wait for the server, and those that wait for its answer. */
export class Outbox {
  readonly #options: OutboxOptions;
  #queue: Message[] = [];
  /** How much of the queue is sent. */
  #sent = 0;
  /** Cursors of what was sent, from `#answered` on without an answer. */
  #cursors: string[] = [];
  #answered = 0;
  #closed = false;
  waitingBytes = 0;
  /** The last message sent belongs to an entry that goes on. */
  midEntry = false;

  constructor(options: OutboxOptions) {
    this.#options = options;
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
    return this.waiting === 0 && this.#inFlight === 0;
  }

  get #inFlight(): number {
    return this.#cursors.length - this.#answered;
  }

  /** Sends what the server takes and the window allows. */
  send(): void {
    const { transport, progress, refusals, window } = this.#options;
    for (;;) {
      if (this.#closed || this.waiting === 0) return;
      const allowed = window - this.#inFlight - progress.unsaved;
      const count = Math.min(this.waiting, transport.room(), allowed, refusals.limit);
      if (count <= 0) return;
      const batch =
        count === this.#queue.length ? this.#queue : this.#queue.slice(this.#sent, this.#sent + count);
      this.#sent += count;
      for (const { text } of batch) this.waitingBytes -= text.length;
      this.#remember(batch);
      this.midEntry = batch.at(-1)?.cursor === '';
      transport.send(batch);
    }
  }

  /** A slice of a string keeps all of it in memory: where very many are in flight, few and copied ones. */
  #remember(batch: Message[]): void {
    const last = batch.findLastIndex(({ cursor }) => cursor !== '');
    batch.forEach(({ cursor }, index) => {
      if (!this.#options.sparse) this.#cursors.push(cursor);
      else this.#cursors.push(index === last ? Buffer.from(cursor, 'latin1').toString('latin1') : '');
    });
  }

  acknowledged(count: number): void {
    const { progress, refusals, counts, sparse } = this.#options;
    const end = this.#answered + count;
    let entries = 0;
    let last = '';
    for (let at = this.#answered; at < end; at += 1) {
      const cursor = this.#cursors[at] ?? '';
      if (cursor === '') continue;
      entries += 1;
      last = cursor;
    }
    this.#answered = end;
    if (this.#answered >= 4096 || this.#inFlight === 0) {
      this.#cursors = this.#cursors.slice(this.#answered);
      this.#answered = 0;
    }
    counts.acknowledged += sparse ? count : entries;
    refusals.accepted(count);
    if (last !== '') progress.acknowledge(sparse ? count : entries, last);
  }

  /** The cursors of the messages that a refusal may be about. */
  suspects({ first, count }: RefusedError): string[] {
    const from = this.#answered + first;
    if (count > 1) return this.#cursors.slice(from, from + count);
    const cursor = this.#cursors.slice(from).find((each) => each !== '');
    return cursor === undefined ? [] : [cursor];
  }

  /** Nothing more is sent. What has no answer will be sent again. */
  close(): void {
    this.#closed = true;
    this.#options.counts.repeated += this.#cursors
      .slice(this.#answered)
      .filter((cursor) => cursor !== '').length;
  }
}
