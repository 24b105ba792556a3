import { setTimeout as sleep } from 'node:timers/promises';
import { type Cursor, parseCursor, reaches, sameEntry } from './cursor.ts';
import type { Entry } from './entry.ts';
import { ExportParser } from './export-parser.ts';
import { type End, type Reading, type Start, follow, lastCursor } from './journalctl.ts';
import { Leaps } from './seek-recovery.ts';
import { Repeats } from './deduplicator.ts';
import { Silence } from './stall-detector.ts';
import { syslogFields } from './field-filter.ts';
import type { ParserMode } from './tokenizer.ts';

export interface SourceEvents {
  entries(entries: Entry[]): void;
  /** Something about the reading that an administrator should know. */
  trouble(reason: string): void;
}

const longestPause = 30_000;

/**
 * The journal's entries after a cursor, in order, whatever journalctl does meanwhile: it is started again where
 * it ended or came to a stop, past an entry that it cannot read.
 */
export class Source {
  readonly #mode: ParserMode;
  readonly #events: SourceEvents;
  #reading: Reading | undefined;
  #parser: ExportParser;
  /** The entry to begin with is known, and not handed on again. */
  #known: Cursor | undefined;
  #last: string;
  #start: Start;
  /** Until it is started again. */
  #timer: NodeJS.Timeout | undefined;
  readonly #silence = new Silence(() => void this.#doubt());
  readonly #leaps = new Leaps();
  #chunks = 0;
  #failures = 0;
  #paused = false;
  #broken = '';
  #repeats: Repeats;
  /** Since it was started last, journalctl has said something, or is known to have nothing to say. */
  settled = false;
  /** Why journalctl cannot read; '' where it can. */
  problem = '';

  /** @param cursor of the last entry that is done with; '' for none in this boot */
  constructor(mode: ParserMode, cursor: string, events: SourceEvents) {
    this.#mode = mode;
    this.#events = events;
    this.#parser = new ExportParser(mode);
    this.#repeats = new Repeats(cursor);
    this.#last = cursor;
    this.#start = cursor === '' ? { at: 'boot' } : { at: 'cursor', cursor };
  }

  start(): void {
    this.#parser = new ExportParser(this.#mode);
    this.#known = this.#start.at === 'cursor' ? parseCursor(this.#last) : undefined;
    this.settled = false;
    const fields = this.#mode === 'skim' ? syslogFields : undefined;
    try {
      const reading = follow(
        this.#start,
        fields,
        (chunk) => this.#read(chunk),
        (end) => this.#ended(end),
      );
      this.#reading = reading;
      if (this.#paused) reading.pause();
      this.#silence.begin();
    } catch (error) {
      // No memory or no file descriptor for a child.
      this.#ended({ killed: false, reason: (error as Error).message });
    }
  }

  pause(): void {
    this.#paused = true;
    this.#reading?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#reading?.resume();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#silence.stop();
    this.#reading?.stop();
    this.#reading = undefined;
  }

  #read(chunk: Buffer): void {
    this.#chunks += 1;
    this.#silence.heard();
    let entries: Entry[];
    try {
      entries = this.#parser.push(chunk);
    } catch (error) {
      this.#reading?.stop();
      this.#ended({ killed: false, reason: (error as Error).message });
      return;
    }
    if (this.#start.at === 'boot') this.#begin(entries);
    else {
      this.#hand(this.#repeats.without(this.#known === undefined ? entries : this.#withoutKnown(entries)));
      // Where it fails again and again, what it repeats of the known entry before that is no success.
      if (this.#failures === 0) this.#calm();
    }
  }

  #calm(): void {
    this.settled = true;
    this.problem = '';
    this.#failures = 0;
  }

  /** With the boot's first entry, of which only the cursor was wanted. */
  #begin(entries: Entry[]): void {
    const first = entries.find(({ cursor }) => cursor !== '')?.cursor;
    if (first === undefined) return;
    this.stop();
    this.#start = { at: 'cursor', cursor: first };
    this.#last = '';
    this.#repeats = new Repeats('');
    this.start();
  }

  #hand(entries: Entry[]): void {
    const last = entries.findLast(({ kind, cursor }) => kind !== 'piece' && cursor !== '')?.cursor;
    if (last !== undefined) {
      this.#last = last;
      this.#start = { at: 'cursor', cursor: last };
      this.#failures = 0;
      if (this.#leaps.begun || this.#silence.long) this.#silence.calm(this.#leaps.begun);
      this.#leaps.done();
    }
    if (entries.length > 0) this.#events.entries(entries);
  }

  /** Looks no further than the entries of the same microsecond. */
  #withoutKnown(entries: Entry[]): Entry[] {
    const known = this.#known;
    return entries.filter((entry) => {
      const cursor = this.#known === undefined ? undefined : parseCursor(entry.cursor);
      if (cursor === undefined || known === undefined) return true;
      const same = sameEntry(cursor, known);
      if (same || cursor.monotonic !== known.monotonic) this.#known = undefined;
      return !same;
    });
  }

  #ended({ killed, reason }: End): void {
    const broken = this.#parser.end();
    this.#failures += 1;
    if (broken !== undefined && broken !== '' && (!killed || broken === this.#broken)) {
      this.#start = { at: 'after', cursor: broken };
      this.#events.entries([{ kind: 'partial', cursor: broken, text: '', message: undefined, cut: 0 }]);
    } else if (this.#failures >= 3 && this.#start.at !== 'boot') this.#elsewhere(reason);
    this.#broken = broken ?? '';
    this.settled = false;
    if (this.#failures > 1) {
      this.problem = `journalctl ended: ${reason}`;
      this.#events.trouble(this.problem);
    }
    this.#reading = undefined;
    this.#silence.stop();
    const pause = Math.min(longestPause, 100 * 2 ** Math.min(20, this.#failures));
    this.#timer = setTimeout(() => this.start(), pause);
  }

  /** It is the place where journalctl fails, if it says so; what else is wrong passes, or would be wrong anywhere. */
  #elsewhere(reason: string): void {
    const cursor = parseCursor(this.#last);
    if (/seek to cursor/i.test(reason)) {
      this.#events.trouble(`journalctl cannot begin at the cursor, beginning with this boot: ${reason}`);
      this.#start = { at: 'boot' };
    } else if (/bad message|iterate through/i.test(reason) && cursor !== undefined) this.#leap(cursor);
  }

  /** Nothing comes. Perhaps there is nothing; but if the journal has more, journalctl has come to a stop. */
  async #doubt(): Promise<void> {
    const { reading, chunks } = { reading: this.#reading, chunks: this.#chunks };
    const last = parseCursor((await lastCursor()) ?? '');
    // What is being written now is on its way.
    await sleep(1000);
    if (this.#reading !== reading || reading === undefined) return;
    const cursor = parseCursor(this.#last);
    if (last === undefined || this.#paused || this.#chunks !== chunks || isAt(last, cursor)) {
      if (last !== undefined) this.#calm();
      this.#silence.unfounded();
      return;
    }
    this.stop();
    if (cursor !== undefined && reaches(last, cursor)) this.#leap(cursor);
    else if (cursor !== undefined) {
      this.#events.trouble('the journal ends before the cursor, beginning with this boot');
      this.#start = { at: 'boot' };
    }
    this.start();
  }

  #leap(cursor: Cursor): void {
    const { start, leaping } = this.#leaps.next(this.#last, cursor);
    this.#start = start;
    if (leaping) this.#events.trouble('journalctl finds nothing after an entry, looking for later ones');
  }
}

/** Whether there is nothing more to read, or nothing of this boot. */
function isAt(last: Cursor, cursor: Cursor | undefined): boolean {
  return cursor !== undefined && (last.boot !== cursor.boot || sameEntry(last, cursor));
}
