import { setTimeout as sleep } from 'node:timers/promises';
import { type LogEntry, item } from '../../lib/journal-export/entry.ts';
import { ExportParser } from '../../lib/journal-export/parser.ts';
import { bufferReceived } from '../../lib/memory.ts';
import {
  type JournalStream,
  type StartPosition,
  type StreamEnd,
  followJournal,
  lastCursor,
} from '../../system/journalctl.ts';
import type { JournalEvents, Reader } from '../stages.ts';
import { BlockParser, splitRuns } from './block-parser.ts';
import {
  type Cursor,
  cursorOfTime,
  parseCursor,
  reaches,
  sameEntry,
} from '../../lib/journal-export/cursor.ts';
import { Deduplicator } from './continuity.ts';

const longestPause = 30_000;

/**
 * Reads the journal entries after a cursor, in order. Runs read-journal, and journalctl after a failure of read-journal.
 * Restarts journalctl if it exits or hangs, and continues after an entry that journalctl cannot read.
 */
export class JournalReader implements Reader {
  readonly #fields: readonly string[] | undefined;
  readonly #events: JournalEvents;
  #stream: JournalStream | undefined;
  #parser: BlockParser | ExportParser;
  /** The entry at which the stream starts. It was emitted before, so it is dropped from the stream. */
  #known: Cursor | undefined;
  #last: string;
  #start: StartPosition;
  /** Starts journalctl again when it expires. */
  #timer: NodeJS.Timeout | undefined;
  readonly #stall = stallDetector(() => void this.#checkStall());
  /** The number of attempts to start after a stall since an entry was read. */
  #attempts = 0;
  #chunks = 0;
  #failures = 0;
  #paused = false;
  /** The cursor of the entry within which journalctl ended last time; '' if it ended between two entries. */
  #broken = '';
  #deduplicator: Deduplicator;
  settled = false;
  problem = '';

  /**
   * @param fields the fields to read; undefined for all of them
   * @param cursor the cursor of the last acknowledged entry; '' if there is none in this boot
   */
  constructor(fields: readonly string[] | undefined, cursor: string, events: JournalEvents) {
    this.#fields = fields;
    this.#events = events;
    this.#parser = new ExportParser(fields);
    this.#deduplicator = new Deduplicator(cursor);
    this.#last = cursor;
    this.#start = cursor === '' ? { at: 'boot' } : { at: 'cursor', cursor };
  }

  start(): void {
    this.#events.started();
    this.#parser = new ExportParser(this.#fields);
    if (this.#start.at === 'boot') {
      this.#last = '';
      this.#deduplicator = new Deduplicator('');
    }
    this.#known = this.#start.at === 'cursor' ? parseCursor(this.#last) : undefined;
    this.settled = false;
    const stream = followJournal(
      { start: this.#start, fields: this.#fields, fast: this.#failures === 0 && this.#attempts === 0 },
      (chunk) => this.#read(chunk),
      (end) => this.#ended(end),
    );
    this.#stream = stream;
    if (stream.inBlocks) this.#parser = new BlockParser();
    if (this.#paused) stream.pause();
    this.#stall.start();
  }

  pause(): void {
    this.#paused = true;
    this.#stream?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#stream?.resume();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#stall.stop();
    this.#stream?.stop();
    this.#stream = undefined;
  }

  #read(chunk: Buffer): void {
    this.#chunks += 1;
    this.#stall.dataReceived();
    if (this.#stream?.inBlocks) bufferReceived(chunk.length);
    let entries: LogEntry[];
    try {
      entries = this.#parser.push(chunk);
    } catch (error) {
      this.#stream?.stop();
      this.#ended({ killed: false, complete: false, reason: (error as Error).message });
      return;
    }
    if (this.#start.at === 'boot' && this.#stream?.program === 'journalctl') this.#startAtFirst(entries);
    else {
      const fresh = this.#known === undefined ? entries : this.#withoutKnown(entries);
      this.#emit(this.#deduplicator.withoutRepeated(fresh));
      // If journalctl fails repeatedly, printing the known entry again does not count as success.
      if (this.#failures === 0) this.#succeeded();
    }
  }

  #succeeded(): void {
    this.settled = true;
    this.problem = '';
    this.#failures = 0;
  }

  /**
   * Restarts journalctl at the cursor of the boot's first entry. The previous stream is used only to find this cursor,
   * because it ends at a corrupt entry.
   */
  #startAtFirst(entries: LogEntry[]): void {
    const first = entries.find(({ cursor }) => cursor !== '')?.cursor;
    if (first === undefined) return;
    this.stop();
    this.#start = { at: 'cursor', cursor: first };
    this.start();
  }

  #emit(entries: LogEntry[]): void {
    const last = entries.findLast(({ kind, cursor }) => kind !== 'piece' && cursor !== '')?.cursor;
    if (last !== undefined) {
      this.#last = last;
      this.#start = { at: 'cursor', cursor: last };
      this.#failures = 0;
      if (this.#attempts > 0 || this.#stall.backedOff) this.#stall.recovered(this.#attempts > 0);
      this.#attempts = 0;
    }
    if (entries.length > 0) this.#events.entries(entries);
  }

  /** Drops the known entry. Stops searching for it at the first entry with a different monotonic timestamp. */
  #withoutKnown(entries: LogEntry[]): LogEntry[] {
    const known = this.#known;
    return splitRuns(entries).filter((entry) => {
      const cursor = this.#known === undefined ? undefined : parseCursor(entry.cursor);
      if (cursor === undefined || known === undefined) return true;
      const same = sameEntry(cursor, known);
      if (same || cursor.monotonic !== known.monotonic) this.#known = undefined;
      return !same;
    });
  }

  #ended({ killed, reason }: StreamEnd): void {
    const broken = this.#parser.end();
    this.#failures += 1;
    if (broken !== undefined && broken !== '' && (!killed || broken === this.#broken)) {
      this.#start = { at: 'after', cursor: broken };
      this.#events.entries([item('partial', broken, '')]);
    } else if (this.#failures >= 3 && this.#start.at !== 'boot') this.#startElsewhere(reason);
    this.#broken = broken ?? '';
    this.settled = false;
    const problem = `${this.#stream?.program ?? 'journalctl'} ended: ${reason}`;
    if (this.#failures > 1) {
      this.problem = problem;
      this.#events.trouble(problem);
    } else if (this.#stream?.program === 'read-journal')
      this.#events.trouble(`${problem}; journalctl reads the journal`);
    this.#stream = undefined;
    this.#stall.stop();
    const pause = Math.min(longestPause, 100 * 2 ** Math.min(20, this.#failures));
    this.#timer = setTimeout(() => this.start(), pause);
  }

  /**
   * Changes the start position if journalctl's error message refers to the position. Other errors are temporary or
   * would occur at every position.
   */
  #startElsewhere(reason: string): void {
    if (/seek to cursor/i.test(reason)) {
      this.#events.trouble(
        `journalctl cannot start at the saved cursor; starting at this boot's first entry: ${reason}`,
      );
      this.#start = { at: 'boot' };
    } else if (/bad message|iterate through/i.test(reason) && this.#last !== '') this.#skip();
  }

  /** Restarts a journalctl that prints nothing although the journal contains entries that were not read. */
  async #checkStall(): Promise<void> {
    const { stream, chunks } = { stream: this.#stream, chunks: this.#chunks };
    const last = parseCursor((await lastCursor()) ?? '');
    // Allow time for an entry that was written just now.
    await sleep(1000);
    if (this.#stream !== stream || stream === undefined) return;
    const cursor = parseCursor(this.#last);
    if (last === undefined || this.#paused || this.#chunks !== chunks || isAtEnd(last, cursor)) {
      if (last !== undefined) this.#succeeded();
      this.#stall.falseAlarm();
      return;
    }
    this.stop();
    if (cursor !== undefined && reaches(last, cursor)) this.#skip();
    else if (cursor !== undefined) {
      this.#events.trouble(
        "the journal's last entry is older than the saved cursor; starting at this boot's first entry",
      );
      this.#start = { at: 'boot' };
    }
    this.start();
  }

  #skip(): void {
    const { start, skips } = startAfterStall(this.#attempts, this.#last);
    this.#attempts += 1;
    this.#start = start;
    if (skips)
      this.#events.trouble('journalctl finds no entry after a corrupt one; searching for later entries');
  }
}

/** Whether the journal contains no later entry, or its last entry belongs to another boot. */
function isAtEnd(last: Cursor, cursor: Cursor | undefined): boolean {
  return cursor !== undefined && (last.boot !== cursor.boot || sameEntry(last, cursor));
}

/**
 * How long journalctl may print nothing before it is checked. The first check follows soon after a start. Later, the
 * timeout begins at `least` and is doubled after each false alarm, up to `most`.
 */
const milliseconds = { first: 2000, least: 60_000, most: 600_000 };

/** Calls back if journalctl prints nothing for too long: it is stuck, or the journal has no new entries. */
function stallDetector(suspect: () => void) {
  let timer: NodeJS.Timeout | undefined;
  let limit = milliseconds.first;
  const wait = (next: number) => {
    limit = next;
    clearTimeout(timer);
    timer = setTimeout(suspect, limit);
  };
  return {
    start: () => wait(milliseconds.first),
    dataReceived: () => void timer?.refresh(),
    /**
     * Must be called when an entry was read after a stall or after false alarms.
     * @param soon whether to check soon, because the next entry may also be corrupt
     */
    recovered: (soon: boolean) => wait(soon ? milliseconds.first : milliseconds.least),
    /** Must be called when the check found that there was nothing to read. */
    falseAlarm: () => wait(Math.min(milliseconds.most, Math.max(milliseconds.least, 2 * limit))),
    /** Whether more than one false alarm has raised the timeout. */
    get backedOff() {
      return limit > milliseconds.least;
    },
    stop: () => clearTimeout(timer),
  };
}

/** The offset of each attempt from the time of the last entry, in microseconds. */
const offsets = [0, 1, 10, 100, 1000, 10_000, 1_000_000, 10_000_000, 600_000_000];

/**
 * Returns where to start if journalctl finds no entry after the last one although the journal has later entries. The
 * first attempt starts at the same entry, because a running journalctl does not notice a directory that was created after
 * journalctl was started.
 * @param attempts the number of attempts since an entry was read
 * @returns `skips`: whether this start may skip entries
 */
function startAfterStall(attempts: number, last: string): { start: StartPosition; skips: boolean } {
  const offset = offsets[(attempts % (offsets.length + 1)) - 1];
  const cursor = parseCursor(last);
  if (offset === undefined || cursor === undefined)
    return { start: { at: 'cursor', cursor: last }, skips: false };
  return { start: { at: 'cursor', cursor: cursorOfTime(cursor, offset) }, skips: true };
}
