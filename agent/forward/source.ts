import { setTimeout as sleep } from 'node:timers/promises';
import { type Cursor, cursorOfTime, parseCursor, reaches, sameEntry } from './cursor.ts';
import type { Entry } from './entry.ts';
import { ExportParser } from './export-parser.ts';
import { type End, type Reading, type Start, follow, lastCursor } from './journalctl.ts';
import { Repeats } from './repeats.ts';
import type { ParserMode } from './tokenizer.ts';

export interface SourceEvents {
  entries(entries: Entry[]): void;
  /** Something about the reading that an administrator should know. */
  trouble(reason: string): void;
}

/** How long journalctl may say nothing before it is doubted: at first, and then, twice as long each time. */
const silenceMilliseconds = { first: 2000, least: 60_000, most: 600_000 };
const longestPause = 30_000;
/** Where it finds nothing after an entry: how much later the next ones are looked for, in microseconds. */
const leaps = [0, 1, 10, 100, 1000, 10_000, 1_000_000, 10_000_000, 600_000_000];

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
  #timer: NodeJS.Timeout | undefined;
  #silence = silenceMilliseconds.first;
  #chunks = 0;
  #failures = 0;
  /** How often it was started again in vain since something was read. */
  #attempts = 0;
  #paused = false;
  #broken = '';
  #repeats: Repeats;

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
    this.#reading = follow(
      this.#start,
      (chunk) => this.#read(chunk),
      (end) => this.#ended(end),
    );
    if (this.#paused) this.#reading.pause();
    this.#silence = silenceMilliseconds.first;
    this.#watch(this.#silence);
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
    this.#reading?.stop();
    this.#reading = undefined;
  }

  #read(chunk: Buffer): void {
    this.#chunks += 1;
    this.#timer?.refresh();
    let entries: Entry[];
    try {
      entries = this.#parser.push(chunk);
    } catch (error) {
      this.#reading?.stop();
      this.#ended({ killed: false, reason: (error as Error).message });
      return;
    }
    if (this.#start.at === 'boot') this.#begin(entries);
    else this.#hand(this.#repeats.without(this.#known === undefined ? entries : this.#withoutKnown(entries)));
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
      if (this.#attempts > 0 || this.#silence > silenceMilliseconds.least) this.#calm();
    }
    if (entries.length > 0) this.#events.entries(entries);
  }

  #calm(): void {
    // Behind one broken entry there may be another.
    this.#silence = this.#attempts > 0 ? silenceMilliseconds.first : silenceMilliseconds.least;
    this.#attempts = 0;
    this.#watch(this.#silence);
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
    } else if (this.#failures >= 3 && this.#start.at !== 'boot' && !killed) {
      this.#events.trouble(`journalctl cannot begin at the cursor, beginning with this boot: ${reason}`);
      this.#start = { at: 'boot' };
    }
    this.#broken = broken ?? '';
    if (this.#failures > 1) this.#events.trouble(`journalctl ended: ${reason}`);
    this.#reading = undefined;
    clearTimeout(this.#timer);
    const pause = Math.min(longestPause, 100 * 2 ** Math.min(20, this.#failures));
    this.#timer = setTimeout(() => this.start(), pause);
  }

  #watch(milliseconds: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#doubt(), milliseconds);
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
      this.#wait();
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

  #wait(): void {
    const { least, most } = silenceMilliseconds;
    this.#silence = Math.min(most, Math.max(least, 2 * this.#silence));
    this.#watch(this.#silence);
  }

  /** At first the same again: journalctl does not see a folder that was not there when it was started. */
  #leap(cursor: Cursor): void {
    const leap = leaps[this.#attempts - 1];
    this.#start = { at: 'cursor', cursor: leap === undefined ? this.#last : cursorOfTime(cursor, leap) };
    this.#attempts = (this.#attempts + 1) % (leaps.length + 1);
    if (leap !== undefined)
      this.#events.trouble('journalctl finds nothing after an entry, looking for later ones');
  }
}

/** Whether there is nothing more to read, or nothing of this boot. */
function isAt(last: Cursor, cursor: Cursor | undefined): boolean {
  return cursor !== undefined && (last.boot !== cursor.boot || sameEntry(last, cursor));
}
