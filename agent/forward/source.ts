import { type Cursor, parseCursor, reaches, sameEntry } from './cursor.ts';
import type { Entry } from './entry.ts';
import { ExportParser } from './export-parser.ts';
import { type End, type Reading, type Start, follow, lastCursor } from './journalctl.ts';
import type { ParserMode } from './tokenizer.ts';

export interface SourceEvents {
  entries(entries: Entry[]): void;
  /** Something about the reading that an administrator should know. */
  trouble(reason: string): void;
}

/** How long journalctl may say nothing at first before its starting point is doubted. */
const silenceMilliseconds = 5000;
const longestPause = 30_000;

/**
 * The journal's entries after a cursor, in order, whatever journalctl does meanwhile: it is started again where
 * it ended, past an entry that it cannot read.
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
  #failures = 0;
  #paused = false;
  #broken = '';

  /** @param cursor of the last entry that is done with; '' for none in this boot */
  constructor(mode: ParserMode, cursor: string, events: SourceEvents) {
    this.#mode = mode;
    this.#events = events;
    this.#parser = new ExportParser(mode);
    this.#last = cursor;
    this.#start = cursor === '' ? { at: 'boot' } : { at: 'cursor', cursor };
  }

  start(): void {
    this.#parser = new ExportParser(this.#mode);
    this.#known = this.#start.at === 'cursor' ? parseCursor(this.#start.cursor) : undefined;
    this.#reading = follow(
      this.#start,
      (chunk) => this.#read(chunk),
      (end) => this.#ended(end),
    );
    if (this.#paused) this.#reading.pause();
    if (this.#start.at === 'cursor') this.#timer = setTimeout(() => void this.#doubt(), silenceMilliseconds);
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
    clearTimeout(this.#timer);
    let entries: Entry[];
    try {
      entries = this.#parser.push(chunk);
    } catch (error) {
      this.#reading?.stop();
      this.#ended({ killed: false, reason: (error as Error).message });
      return;
    }
    if (this.#known !== undefined) entries = this.#withoutKnown(entries);
    const last = entries.findLast(({ kind, cursor }) => kind !== 'piece' && cursor !== '');
    if (last === undefined) {
      if (entries.length > 0) this.#events.entries(entries);
      return;
    }
    this.#last = last.cursor;
    this.#start = { at: 'cursor', cursor: last.cursor };
    this.#failures = 0;
    this.#events.entries(entries);
  }

  /** Looks no further than the entries of the same microsecond. */
  #withoutKnown(entries: Entry[]): Entry[] {
    const known = this.#known;
    const kept: Entry[] = [];
    for (const entry of entries) {
      const cursor = this.#known === undefined ? undefined : parseCursor(entry.cursor);
      const same = cursor !== undefined && known !== undefined && sameEntry(cursor, known);
      if (cursor !== undefined && (same || cursor.monotonic !== known?.monotonic)) this.#known = undefined;
      if (!same) kept.push(entry);
    }
    return kept;
  }

  #ended({ killed, reason }: End): void {
    clearTimeout(this.#timer);
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
    const pause = Math.min(longestPause, 100 * 2 ** Math.min(20, this.#failures));
    this.#reading = undefined;
    this.#timer = setTimeout(() => this.start(), pause);
  }

  /** A cursor that is not of this journal may lie in its future: then journalctl waits, and says nothing. */
  async #doubt(): Promise<void> {
    const reading = this.#reading;
    const cursor = parseCursor(this.#last);
    const last = parseCursor((await lastCursor()) ?? '');
    if (reading === undefined || this.#reading !== reading || this.#known === undefined) return;
    if (cursor === undefined || last === undefined || last.boot !== cursor.boot || reaches(last, cursor))
      return;
    this.#events.trouble('the journal ends before the cursor, beginning with this boot');
    this.stop();
    this.#start = { at: 'boot' };
    this.start();
  }
}
