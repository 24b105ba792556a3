import { setTimeout as sleep } from 'node:timers/promises';
import {
  type JournalStream,
  type StartPosition,
  type StreamEnd,
  followJournal,
  lastCursor,
  listBoots,
} from '../../system/journalctl.ts';
import type { CreateReader, FieldSelection, LogEntry, Reader, ReaderEvents } from '../reader.ts';
import { parseCursor, sameEntry } from './cursor.ts';
import { ExportParser } from './export-parser.ts';
import { syslogFields } from './field-filter.ts';
import { JournalReader } from './journal-reader.ts';

/** How often a boot is read again without progress. */
const attempts = 3;
const retryMilliseconds = 1000;
/** The time without output after which journalctl is ended. */
const stallMilliseconds = 60_000;
/** The maximum number of boots. */
const mostBoots = 500;

/** Where to begin if no journal entry was acknowledged: in this boot, in the oldest boot, or in a certain boot. */
export type FirstBoot = 'this' | 'oldest' | { id: string };

/**
 * Returns a function that creates the reader of the journal.
 * @param bootId this boot
 */
export function journalReaders(fields: FieldSelection, bootId: string, first: FirstBoot): CreateReader {
  return (cursor, events) => {
    const boot = parseCursor(cursor)?.boot;
    if (boot === bootId || (boot === undefined && first === 'this'))
      return new JournalReader(fields, cursor, events);
    return new EarlierBoots(fields, cursor, first, bootId, events);
  };
}

/**
 * Reads what earlier boots left in a persistent journal, the oldest boot first, and then this boot.
 *
 * Each boot is read on its own, so that whatever the files of earlier boots contain, and whatever the clock did, every
 * entry of this boot is read afterwards: somebody with root in an earlier boot may have written these files.
 */
class EarlierBoots implements Reader {
  readonly #fields: FieldSelection;
  readonly #events: ReaderEvents;
  readonly #bootId: string;
  readonly #first: FirstBoot;
  readonly #after: string;
  /** The reader of this boot, which reads when the earlier boots are done. */
  readonly #then: JournalReader;
  #isDone = false;
  #isStopped = false;
  #paused = false;
  #boots: string[] = [];
  #parser: ExportParser;
  #stream: JournalStream | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** The last entry that was read; '' to begin with the boot's first entry. */
  #cursor: string;
  #isFirst = true;
  #failures = 0;

  constructor(
    fields: FieldSelection,
    cursor: string,
    first: FirstBoot,
    bootId: string,
    events: ReaderEvents,
  ) {
    this.#fields = fields;
    this.#events = events;
    this.#bootId = bootId;
    this.#first = first;
    this.#after = this.#cursor = cursor;
    this.#parser = new ExportParser(fields);
    this.#then = new JournalReader(fields, '', events);
  }

  get settled(): boolean {
    return this.#isDone && this.#then.settled;
  }

  get problem(): string {
    return this.#isDone ? this.#then.problem : '';
  }

  start(): void {
    void this.#findBoots().then((boots) => {
      if (this.#isStopped) return;
      this.#boots = boots;
      this.#open();
    });
  }

  pause(): void {
    this.#paused = true;
    this.#stream?.pause();
    if (this.#isDone) this.#then.pause();
  }

  resume(): void {
    if (this.#paused) this.#watch();
    this.#paused = false;
    this.#stream?.resume();
    if (this.#isDone) this.#then.resume();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#stream?.stop();
    this.#stream = undefined;
    this.#then.stop();
  }

  /** Returns the earlier boots with entries after the cursor. */
  async #findBoots(): Promise<string[]> {
    const boots = (await this.#list()).filter((boot) => boot !== this.#bootId).slice(-mostBoots);
    const after = parseCursor(this.#after);
    if (after === undefined) return this.#fromFirst(boots);
    const found: string[] = [];
    for (const boot of boots) {
      const last = parseCursor((await lastCursor(boot)) ?? '');
      if (boot === after.boot || last === undefined || last.realtime > after.realtime) found.push(boot);
    }
    return found;
  }

  async #list(): Promise<string[]> {
    for (let attempt = 0; attempt < attempts; attempt += 1) {
      if (attempt > 0) await sleep(retryMilliseconds);
      const boots = await listBoots();
      if (boots !== undefined || this.#isStopped) return boots ?? [];
    }
    this.#events.trouble('the journal of earlier boots is not forwarded: journalctl cannot list the boots');
    return [];
  }

  #fromFirst(boots: readonly string[]): string[] {
    if (typeof this.#first === 'string') return [...boots];
    // If the journal of this boot was in memory, it is gone, and so are those of the boots before it.
    const index = boots.indexOf(this.#first.id);
    return index < 0 ? [] : boots.slice(index);
  }

  #open(): void {
    const [boot] = this.#boots;
    if (boot === undefined) {
      this.#isDone = true;
      if (this.#paused) this.#then.pause();
      this.#then.start();
      return;
    }
    if (parseCursor(this.#cursor)?.boot !== boot) this.#cursor = '';
    this.#events.started();
    this.#parser = new ExportParser(this.#fields);
    this.#isFirst = this.#cursor !== '';
    const fields = this.#fields === 'syslog' ? syslogFields : undefined;
    const start: StartPosition =
      this.#cursor === '' ? { at: 'head' } : { at: 'cursor', cursor: this.#cursor };
    this.#stream = followJournal(
      { start, fields, boot, fast: this.#failures === 0 },
      (chunk) => this.#read(chunk),
      (end) => this.#ended(end),
    );
    if (this.#paused) this.#stream.pause();
    this.#watch();
  }

  /** Ends a journalctl that prints nothing. */
  #watch(): void {
    clearTimeout(this.#timer);
    if (this.#isDone || this.#stream === undefined) return;
    this.#timer = setTimeout(() => {
      if (this.#paused) return;
      this.#stream?.stop();
      this.#failed(`journalctl printed nothing for ${stallMilliseconds / 1000} s`);
    }, stallMilliseconds);
  }

  #read(chunk: Buffer): void {
    this.#watch();
    let entries: LogEntry[];
    try {
      entries = this.#parser.push(chunk);
    } catch (error) {
      this.#stream?.stop();
      this.#failed((error as Error).message);
      return;
    }
    this.#emit(entries);
  }

  #emit(entries: LogEntry[]): void {
    const fresh = this.#isFirst && entries.length > 0 ? this.#withoutKnown(entries) : entries;
    const last = fresh.findLast(({ kind, cursor }) => kind !== 'piece' && cursor !== '')?.cursor;
    if (last !== undefined) {
      this.#cursor = last;
      this.#failures = 0;
    }
    if (fresh.length > 0) this.#events.entries(fresh);
  }

  /** Drops the entry at which reading began, which was read before. */
  #withoutKnown(entries: LogEntry[]): LogEntry[] {
    this.#isFirst = false;
    const [first, known] = [parseCursor(entries[0]?.cursor ?? ''), parseCursor(this.#cursor)];
    return first !== undefined && known !== undefined && sameEntry(first, known) ? entries.slice(1) : entries;
  }

  #ended({ complete, reason }: StreamEnd): void {
    const broken = this.#parser.end();
    if (broken !== undefined && broken !== '' && broken !== this.#cursor)
      this.#emit([{ kind: 'partial', cursor: broken, text: '', message: undefined, cut: 0 }]);
    if (complete && broken === undefined) this.#nextBoot();
    else this.#failed(reason);
  }

  #nextBoot(): void {
    this.#stream = undefined;
    clearTimeout(this.#timer);
    this.#boots.shift();
    this.#failures = 0;
    this.#open();
  }

  #failed(reason: string): void {
    this.#stream = undefined;
    clearTimeout(this.#timer);
    this.#failures += 1;
    if (this.#failures < attempts) {
      this.#timer = setTimeout(() => this.#open(), retryMilliseconds);
      return;
    }
    this.#events.trouble(`the rest of the journal of boot ${this.#boots[0] ?? ''} cannot be read: ${reason}`);
    this.#nextBoot();
  }
}
