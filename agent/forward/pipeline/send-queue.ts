import type { OutgoingMessage } from '../encode/encoder.ts';
import type { Counters } from '../status/counters.ts';
import type { RefusedError, Transport } from '../transport/transport.ts';
import type { Checkpoint } from './checkpoint.ts';
import type { Quarantine } from './quarantine.ts';
import { Unacknowledged } from './unacknowledged.ts';

export interface SendQueueOptions {
  transport: Transport;
  checkpoint: Checkpoint;
  quarantine: Quarantine;
  counters: Counters;
  /** The maximum number of messages that are unacknowledged, or acknowledged but not yet saved in the checkpoint. */
  window: number;
  /** Whether to keep only the last cursor of each batch, because the protocol does not acknowledge single messages. */
  sparse: boolean;
}

/** Holds the messages that are not sent yet, and the messages that are sent but not acknowledged. */
export class SendQueue {
  readonly #options: SendQueueOptions;
  #queue: OutgoingMessage[] = [];
  /** How many messages of the queue were already sent. */
  #sent = 0;
  readonly #unacknowledged: Unacknowledged;
  #closed = false;
  waitingBytes = 0;

  constructor(options: SendQueueOptions) {
    this.#options = options;
    this.#unacknowledged = new Unacknowledged(options.sparse);
  }

  add(messages: OutgoingMessage[]): void {
    this.waitingBytes += sizeOf(messages);
    this.#queue =
      this.#sent === this.#queue.length ? messages : [...this.#queue.slice(this.#sent), ...messages];
    this.#sent = 0;
  }

  /** The number of messages that are not sent yet. */
  get waiting(): number {
    return this.#queue.length - this.#sent;
  }

  /** Whether every message is sent and acknowledged. */
  get idle(): boolean {
    return this.waiting === 0 && this.#unacknowledged.length === 0;
  }

  /** Sends as many messages as the transport and the window allow. */
  send(): void {
    const { transport, checkpoint, quarantine, window } = this.#options;
    for (;;) {
      if (this.#closed || this.waiting === 0) return;
      const allowed = window - this.#unacknowledged.length - checkpoint.unsaved;
      const batch = this.#next(Math.min(transport.capacity(), allowed, quarantine.batchLimit));
      if (batch.length === 0) return;
      this.#sent += batch.length;
      if (this.waiting === 0) this.waitingBytes = 0;
      else this.waitingBytes -= sizeOf(batch);
      this.#unacknowledged.add(batch);
      transport.send(batch, quarantine.batchLimit < Number.POSITIVE_INFINITY);
    }
  }

  /** Returns the next messages. @param limit their maximum number, to which a run contributes the number of its entries */
  #next(limit: number): OutgoingMessage[] {
    let [end, rest] = [this.#sent, limit];
    for (; end < this.#queue.length; end += 1) {
      rest -= this.#queue[end]?.run?.count ?? 1;
      if (rest < 0) break;
    }
    return end - this.#sent === this.#queue.length ? this.#queue : this.#queue.slice(this.#sent, end);
  }

  /**
   * Must be called when the server has accepted the next `count` messages.
   * @returns the last cursor of the journal and the last position in each log file among these messages
   */
  acknowledge(count: number): string[] {
    const { checkpoint, quarantine, counters } = this.#options;
    const { entries, cursors } = this.#unacknowledged.acknowledge(count);
    counters.acknowledged += entries;
    quarantine.accepted(count);
    if (cursors.length > 0) checkpoint.acknowledge(entries, cursors);
    return cursors;
  }

  /** Returns the cursors of the messages that may have caused a refusal. */
  suspects({ first, count }: RefusedError): string[] {
    const cursors = this.#unacknowledged.cursors(first);
    if (count > 1) return cursors.slice(0, count);
    const cursor = cursors.find((each) => each !== '');
    return cursor === undefined ? [] : [cursor];
  }

  /** Stops sending. Counts unacknowledged entries as repeated, because the next session sends them again. */
  close(): void {
    this.#closed = true;
    this.#options.counters.repeated += this.#unacknowledged.entries;
  }
}

/** Returns the size of messages in bytes. */
function sizeOf(messages: readonly OutgoingMessage[]): number {
  let size = 0;
  for (const { text, run } of messages) size += run?.bytes.length ?? text.length;
  return size;
}
