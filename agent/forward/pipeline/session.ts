import type { ForwardCounts } from '../../facts/forwarder.ts';
import type { LogEntry } from '../../lib/journal-export/entry.ts';
import { forEachLine } from '../encode/file-lines.ts';
import { splitRuns } from '../journal/block-parser.ts';
import { GapDetector, suppressedCount, suppressionId } from '../journal/continuity.ts';
import {
  type CreateFileReader,
  type CreateJournalReader,
  type Encoder,
  type LineChunk,
  type OutgoingMessage,
  type Reader,
  RefusedError,
  type Transport,
  filePosition,
} from '../stages.ts';
import type { Protocol } from '../transport/protocols.ts';
import type { Checkpoint } from './checkpoint.ts';
import { PendingCounters } from './pending-counters.ts';
import type { Quarantine } from './quarantine.ts';
import { SendQueue, type SendQueueOptions } from './send-queue.ts';

interface SessionOptions extends SendQueueOptions, Pick<Protocol, 'queueBytes'> {
  checkpoint: Checkpoint;
  quarantine: Quarantine;
  counters: ForwardCounts;
  createReader: CreateJournalReader;
  createFileReader: CreateFileReader;
  encoder: Encoder;
  trouble: (reason: string) => void;
  acknowledged: () => void;
}

/**
 * Runs the pipeline of one connection: readers, encoder, send queue, transport and checkpoint. Begins after the last
 * acknowledged entry of the journal and the last acknowledged line of each log file.
 */
export class Session {
  readonly #options: SessionOptions;
  readonly #transport: Transport;
  readonly #checkpoint: Checkpoint;
  readonly #quarantine: Quarantine;
  readonly #reader: Reader;
  readonly #fileReader: Reader;
  readonly #queue: SendQueue;
  readonly #gaps: GapDetector;
  readonly #pending: PendingCounters;
  #finishing = false;
  /** Whether the last item was a piece of an incomplete entry. */
  #withinEntry = false;
  /** What waits until an incomplete entry ends, because nothing may be sent within it. */
  #held: (() => void)[] = [];
  #settle: (error: Error | undefined) => void = () => undefined;

  constructor(options: SessionOptions) {
    const { transport, checkpoint, quarantine, counters, createReader, createFileReader, trouble } = options;
    this.#options = options;
    this.#transport = transport;
    this.#checkpoint = checkpoint;
    this.#quarantine = quarantine;
    this.#queue = new SendQueue(options);
    this.#gaps = new GapDetector(checkpoint.cursor);
    this.#pending = new PendingCounters(counters);
    this.#reader = createReader(checkpoint.cursor, {
      started: () => this.#readingStarted(),
      entries: (entries) => this.#take(entries),
      trouble,
    });
    this.#fileReader = createFileReader({
      lines: (chunk) => this.#takeLines(chunk),
      lost: (text) => this.#reportLost(text),
    });
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
      else for (const reader of this.#readers) reader.start();
    });
    for (const reader of this.#readers) reader.stop();
    this.#checkpoint.save();
    this.#options.counters.repeated += this.#queue.close();
    if (reason instanceof RefusedError) this.#quarantine.refused(this.#queue.suspects(reason));
    if (reason === undefined) await this.#transport.close();
    else this.#transport.destroy();
    return reason;
  }

  /** Sends a message from the agent itself. */
  notify(text: string): void {
    this.#betweenEntries(() => {
      const out: OutgoingMessage[] = [];
      this.#options.encoder.encodeNotice(text, out);
      this.#queue.add(out);
    });
  }

  /** Stops reading. `run` returns when every entry that was already read is acknowledged. */
  finish(): void {
    this.#finishing = true;
    for (const reader of this.#readers) reader.stop();
    this.#advance();
  }

  /** Whether the end of every log was reached and every entry and line is acknowledged. */
  get idle(): boolean {
    return this.#readers.every(({ settled }) => settled) && this.#held.length === 0 && this.#queue.idle;
  }

  get #readers(): Reader[] {
    return [this.#reader, this.#fileReader];
  }

  get unacknowledged(): boolean {
    return !this.#queue.idle;
  }

  get problem(): string {
    return this.#reader.problem;
  }

  /**
   * Ends the session if an entry was sent only in part, because the entry will be read again from its beginning. The
   * server discards the part only when the connection ends.
   */
  #readingStarted(): void {
    if (this.#withinEntry) this.#settle(new Error('reading the journal was interrupted within an entry'));
  }

  #take(entries: LogEntry[]): void {
    if (this.#finishing) return;
    const encoder = this.#options.encoder;
    const quarantine = this.#quarantine;
    const { active } = quarantine;
    let out: OutgoingMessage[] = [];
    for (const entry of this.#divided(entries)) {
      const { kind, cursor, text, cut, run } = entry;
      const within = this.#withinEntry;
      if (!within && cursor !== '') {
        const missing =
          run === undefined
            ? this.#gaps.missingBefore(cursor)
            : this.#gaps.missingBefore(run.first, run.count);
        if (missing > 0) this.#reportMissing(missing, cursor, out);
        if (active && quarantine.isSuspect(cursor))
          encoder.encodeNotice(`The server has refused the journal entry ${cursor}: last attempt`, out);
      }
      const skipped = active && quarantine.has(cursor);
      this.#withinEntry = kind === 'piece' && !skipped;
      if (kind === 'entry' && cursor !== '') {
        if (skipped) this.#replaceRefused(cursor, refusedText(cursor), out);
        else encoder.encode(entry, out);
        if (cut > 0) this.#pending.add('cut', 1, cursor);
        // The last piece of a large entry is not a complete entry, and can begin with anything.
        if (run === undefined && !within && !skipped && text.includes(suppressionId))
          this.#pending.add('suppressed', suppressedCount(text), cursor);
      } else if (kind === 'piece') {
        if (!skipped) out.push({ text, cursor: '', continues: true });
      } else if (within) {
        this.#abandon(cursor);
        return;
      } else this.#reportUnreadable(cursor, out);
      if (this.#held.length > 0 && !this.#withinEntry) {
        this.#queue.add(out);
        out = [];
        this.#addHeld();
      }
    }
    this.#queue.add(out);
    this.#advance();
  }

  /** Splits the runs if the server may refuse one of their entries, or if an entry is a report of suppressed messages. */
  #divided(entries: LogEntry[]): LogEntry[] {
    const { active, batchLimit } = this.#quarantine;
    const single =
      active ||
      batchLimit < Number.POSITIVE_INFINITY ||
      entries.some(({ run }) => run?.bytes.includes(suppressionId));
    return single ? splitRuns(entries) : entries;
  }

  #takeLines(chunk: LineChunk): void {
    if (this.#finishing) return;
    this.#betweenEntries(() => this.#addLines(chunk));
  }

  /** Adds what was held back. The batch may end within the next large entry, and so may every batch after it. */
  #addHeld(): void {
    for (const add of this.#held.splice(0)) add();
  }

  #betweenEntries(add: () => void): void {
    if (this.#withinEntry) {
      this.#held.push(add);
      this.#fileReader.pause();
      return;
    }
    add();
    this.#advance();
  }

  #addLines(chunk: LineChunk): void {
    const out: OutgoingMessage[] = [];
    if (this.#quarantine.active) this.#encodeSingleLines(chunk, out);
    else this.#options.encoder.encodeLines(chunk, out);
    this.#queue.add(out);
  }

  /** Encodes lines while the server may refuse one of them. */
  #encodeSingleLines(chunk: LineChunk, out: OutgoingMessage[]): void {
    const { encoder } = this.#options;
    forEachLine(chunk, (_, offset, end) => {
      const position = filePosition(chunk.id, end);
      const [from, to] = [offset - chunk.offset, end - chunk.offset];
      if (this.#quarantine.isSuspect(position))
        encoder.encodeNotice(
          `The server has refused the line at ${offset} of ${chunk.path}: last attempt`,
          out,
        );
      if (this.#quarantine.has(position))
        this.#replaceRefused(
          position,
          `The server refused the line at ${offset} of ${chunk.path}; it was skipped`,
          out,
        );
      else encoder.encodeLines({ ...chunk, offset, text: chunk.text.slice(from, to) }, out);
    });
  }

  #reportLost(text: string): void {
    if (this.#finishing) return;
    this.#options.trouble(text);
    this.notify(text);
  }

  #reportMissing(count: number, cursor: string, out: OutgoingMessage[]): void {
    this.#pending.add('lost', count, cursor);
    this.#options.encoder.encodeNotice(missingText(count), out);
  }

  #replaceRefused(cursor: string, notice: string, out: OutgoingMessage[]): void {
    this.#pending.add('refused', 1, cursor);
    this.#options.encoder.encodeNotice(notice, out);
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

  /** The server has accepted the next `count` messages: moves the checkpoint. */
  #acknowledged(count: number): void {
    const { entries, cursors } = this.#queue.acknowledge(count);
    this.#checkpoint.acknowledge(entries, cursors);
    this.#quarantine.accepted(count);
    this.#options.counters.acknowledged += entries;
    for (const { key, count: lost } of this.#pending.acknowledged(this.#checkpoint.cursor, cursors))
      if (key === 'lost') this.#options.trouble(missingText(lost));
    this.#options.acknowledged();
    this.#advance();
  }

  /** Sends queued messages, then pauses or resumes the readers, or ends the session. */
  #advance(): void {
    this.#queue.send();
    if (this.#finishing) {
      if (this.#withinEntry) this.#settle(new Error('stopped within an entry'));
      else if (this.#queue.idle) this.#settle(undefined);
    } else if (this.#queue.waitingBytes > this.#options.queueBytes)
      for (const reader of this.#readers) reader.pause();
    else {
      this.#reader.resume();
      // One chunk is read ahead within an entry, for the case that no batch ends outside one.
      if (this.#held.length === 0) this.#fileReader.resume();
    }
  }
}

/** The notices that are sent instead of entries that cannot be sent. */
export const missingText = (count: number) =>
  `${count} journal entries were deleted before they could be forwarded`;
export const unreadableText = (cursor: string) =>
  `The journal entry ${cursor || 'without a cursor'} cannot be read`;
export const refusedText = (cursor: string) =>
  `The server refused the journal entry ${cursor}; it was skipped`;
