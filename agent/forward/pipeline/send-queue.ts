import { ownCopy } from '../../lib/memory.ts';
import { type OutgoingMessage, type RefusedError, type Transport, isFilePosition } from '../stages.ts';
import type { Protocol } from '../transport/protocols.ts';
import type { Checkpoint } from './checkpoint.ts';
import type { Quarantine } from './quarantine.ts';

export interface SendQueueOptions extends Pick<Protocol, 'window' | 'sparse'> {
  transport: Transport;
  checkpoint: Pick<Checkpoint, 'unsaved'>;
  quarantine: Pick<Quarantine, 'batchLimit'>;
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

  get waiting(): number {
    return this.#queue.length - this.#sent;
  }

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
   * Removes the next `count` messages, which the server has accepted.
   * @returns the number of entries and lines that these messages complete, and the last cursor of the journal and the last
   *     position in each log file among them
   */
  acknowledge(count: number): { entries: number; cursors: string[] } {
    return this.#unacknowledged.acknowledge(count);
  }

  /** Returns the cursors of the messages that may have caused a refusal. */
  suspects({ first, count }: RefusedError): string[] {
    const cursors = this.#unacknowledged.cursors(first);
    if (count > 1) return cursors.slice(0, count);
    const cursor = cursors.find((each) => each !== '');
    return cursor === undefined ? [] : [cursor];
  }

  /** Stops sending. @returns the number of unacknowledged entries and lines, which the next session sends again */
  close(): number {
    this.#closed = true;
    return this.#unacknowledged.entries;
  }
}

function sizeOf(messages: readonly OutgoingMessage[]): number {
  let size = 0;
  for (const { text, run } of messages) size += run?.bytes.length ?? text.length;
  return size;
}

/**
 * Messages that were sent together, with the cursor of each message or, in sparse mode, only the last cursor of the
 * journal and of each log file.
 */
interface Batch {
  cursors: string[];
  sparse: boolean;
  /** In sparse mode, the number of entries that the batch completes. */
  entries: number;
  /** The number of messages, to which a run contributes the number of its entries. */
  count: number;
  acknowledged: number;
}

/** Holds the messages that were sent but are not acknowledged, in the order in which they were sent. */
class Unacknowledged {
  readonly #sparse: boolean;
  readonly #batches: Batch[] = [];
  /** The number of unacknowledged messages, to which a run contributes the number of its entries. */
  length = 0;

  /**
   * @param sparse keeps only the last cursors of each batch, for protocols with very many unacknowledged messages. A
   *   batch that contains a run is always sparse.
   */
  constructor(sparse: boolean) {
    this.#sparse = sparse;
  }

  /**
   * Adds messages that were sent. Each cursor is a slice of the chunk from which it was read, so keeping the cursor
   * would keep the chunk in memory. Joining and splitting the cursors makes them slices of one short string instead.
   */
  add(batch: OutgoingMessage[]): void {
    const all: string[] = [];
    let [entries, count] = [0, batch.length];
    for (const { cursor, run } of batch) {
      const grouped = run?.count ?? 1;
      all.push(cursor);
      if (cursor !== '') entries += grouped;
      count += grouped - 1;
    }
    const sparse = this.#sparse || count > batch.length;
    const cursors = sparse ? lastCursors(all).map(ownCopy) : all.join('\n').split('\n');
    this.#batches.push({ cursors, sparse, entries: sparse ? entries : 0, count, acknowledged: 0 });
    this.length += count;
  }

  /**
   * Removes the oldest `count` messages, which were acknowledged.
   * @returns the number of entries that these messages complete, and the last cursor of the journal and of each log file
   */
  acknowledge(count: number): { entries: number; cursors: string[] } {
    let [rest, entries] = [count, 0];
    const completed: string[][] = [];
    while (rest > 0) {
      const batch = this.#batches[0];
      if (batch === undefined) break;
      const part = Math.min(rest, batch.count - batch.acknowledged);
      const cursors = this.#completed(batch, part);
      if (!batch.sparse) for (const each of cursors) entries += each === '' ? 0 : 1;
      completed.push(cursors);
      batch.acknowledged += part;
      if (batch.sparse && batch.acknowledged === batch.count) entries += batch.entries;
      rest -= part;
      if (batch.acknowledged === batch.count) this.#batches.shift();
    }
    this.length -= count;
    return {
      entries,
      cursors: lastCursors(completed.length === 1 ? (completed[0] ?? []) : completed.flat()),
    };
  }

  /**
   * Returns the cursors of the messages from index `first`; '' for a message that completes no entry. Instead of the
   * cursor of a message in a sparse batch, it returns a cursor of the batch.
   */
  cursors(first: number): string[] {
    return this.#batches
      .flatMap(({ cursors, sparse, count, acknowledged }) =>
        sparse ? new Array<string>(count - acknowledged).fill(cursors[0] ?? '') : cursors.slice(acknowledged),
      )
      .slice(first);
  }

  get entries(): number {
    const single = this.#batches
      .filter(({ sparse }) => !sparse)
      .flatMap(({ cursors, acknowledged }) => cursors.slice(acknowledged));
    return this.#batches.reduce(
      (sum, { entries }) => sum + entries,
      single.filter((cursor) => cursor !== '').length,
    );
  }

  #completed({ cursors, sparse, count, acknowledged }: Batch, part: number): string[] {
    if (!sparse) return cursors.slice(acknowledged, acknowledged + part);
    return acknowledged + part === count ? cursors : [];
  }
}

/** Returns the last cursor of the journal, and the last position in each log file, in any order. */
function lastCursors(cursors: readonly string[]): string[] {
  let journal = '';
  let [file, position] = ['', ''];
  let files: Map<string, string> | undefined;
  for (const cursor of cursors) {
    if (cursor === '') continue;
    if (!isFilePosition(cursor)) journal = cursor;
    else {
      // Most positions are in the same file as the position before.
      if (file === '' || !cursor.startsWith(file)) {
        if (file !== '') (files ??= new Map<string, string>()).set(file, position);
        file = cursor.slice(0, cursor.indexOf(':') + 1);
      }
      position = cursor;
    }
  }
  if (file !== '') (files ??= new Map<string, string>()).set(file, position);
  return [...(journal === '' ? [] : [journal]), ...(files?.values() ?? [])];
}
