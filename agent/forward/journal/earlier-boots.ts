import { setTimeout as sleep } from 'node:timers/promises';
import { type LogEntry, item } from '../../lib/journal-export/entry.ts';
import { ExportParser } from '../../lib/journal-export/parser.ts';
import {
  type JournalStream,
  type StartPosition,
  followJournal,
  lastCursor,
  listBoots,
} from '../../system/journalctl.ts';
import type { CreateJournalReader, JournalEvents, Reader } from '../stages.ts';
import { type Cursor, isLater, parseCursor, sameEntry } from '../../lib/journal-export/cursor.ts';
import { JournalReader } from './journal-reader.ts';

/** How often a boot is read again without progress. */
const attempts = 3;
const retryMilliseconds = 1000;
/** The time without output after which journalctl is ended. */
const stallMilliseconds = 60_000;
const mostBoots = 500;

/** Where to begin if no journal entry was acknowledged: in this boot, in the oldest boot, or in a certain boot. */
export type FirstBoot = 'this' | 'oldest' | { id: string };

/**
 * Returns a function that creates the reader of the journal.
 * @param fields the fields to read; undefined for all of them
 */
export function journalReaders(
  fields: readonly string[] | undefined,
  bootId: string,
  first: FirstBoot,
): CreateJournalReader {
  return (cursor, events) => {
    const boot = parseCursor(cursor)?.boot;
    if (boot === bootId || (boot === undefined && first === 'this'))
      return new JournalReader(fields, cursor, events);
    return new EarlierBoots({ fields, bootId, first, events }, cursor);
  };
}

/**
 * Returns the boots that may have entries after an entry: its own boot, and those whose last entry is later or unknown.
 * @param lastOf returns the cursor of the last entry of a boot, or '' or undefined if it is not known
 */
export async function bootsWithLater(
  boots: readonly string[],
  after: Cursor,
  lastOf: (boot: string) => Promise<string | undefined>,
): Promise<string[]> {
  const found: string[] = [];
  for (const boot of boots) {
    const last = parseCursor((await lastOf(boot)) ?? '');
    if (boot === after.boot || last === undefined || isLater(last, after)) found.push(boot);
  }
  return found;
}

interface Options {
  fields: readonly string[] | undefined;
  bootId: string;
  first: FirstBoot;
  events: JournalEvents;
}

/**
 * Reads what earlier boots left in a persistent journal, the oldest boot first, and then this boot.
 *
 * Each boot is read on its own, so that whatever the files of earlier boots contain, and whatever the clock did, every
 * entry of this boot is read afterwards: somebody with root in an earlier boot may have written these files.
 */
class EarlierBoots implements Reader {
  readonly #options: Options;
  /** The reader of this boot, which reads when the earlier boots are done. */
  readonly #then: JournalReader;
  #isDone = false;
  #isStopped = false;
  #paused = false;
  #stream: JournalStream | undefined;
  /** Ends a journalctl that prints nothing. */
  #stall: NodeJS.Timeout | undefined;
  /** The last entry that was read; '' to begin with the boot's first entry. */
  #cursor: string;

  /** @param cursor the last acknowledged entry */
  constructor(options: Options, cursor: string) {
    this.#options = options;
    this.#cursor = cursor;
    this.#then = new JournalReader(options.fields, '', options.events);
  }

  get settled(): boolean {
    return this.#isDone && this.#then.settled;
  }

  get problem(): string {
    return this.#isDone ? this.#then.problem : '';
  }

  start(): void {
    void this.#readAll();
  }

  pause(): void {
    this.#paused = true;
    this.#stream?.pause();
    if (this.#isDone) this.#then.pause();
  }

  resume(): void {
    if (this.#paused) this.#stall?.refresh();
    this.#paused = false;
    this.#stream?.resume();
    if (this.#isDone) this.#then.resume();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#stall);
    this.#stream?.stop();
    this.#then.stop();
  }

  async #readAll(): Promise<void> {
    for (const boot of await this.#findBoots()) {
      if (parseCursor(this.#cursor)?.boot !== boot) this.#cursor = '';
      if (!this.#isStopped) await this.#readBoot(boot);
    }
    if (this.#isStopped) return;
    this.#isDone = true;
    if (this.#paused) this.#then.pause();
    this.#then.start();
  }

  /** Returns the earlier boots with entries after the cursor. */
  async #findBoots(): Promise<string[]> {
    const boots = (await this.#list()).filter((boot) => boot !== this.#options.bootId).slice(-mostBoots);
    const after = parseCursor(this.#cursor);
    if (after === undefined) return this.#fromFirst(boots);
    return bootsWithLater(boots, after, lastCursor);
  }

  async #list(): Promise<string[]> {
    for (let attempt = 0; attempt < attempts; attempt += 1) {
      if (attempt > 0) await sleep(retryMilliseconds);
      const boots = await listBoots();
      if (boots !== undefined || this.#isStopped) return boots ?? [];
    }
    this.#options.events.trouble(
      'the journal of earlier boots is not forwarded: journalctl cannot list the boots',
    );
    return [];
  }

  #fromFirst(boots: string[]): string[] {
    const { first } = this.#options;
    if (typeof first === 'string') return boots;
    // If the journal of this boot was in memory, it is gone, and so are those of the boots before it.
    const index = boots.indexOf(first.id);
    return index < 0 ? [] : boots.slice(index);
  }

  /** Reads a boot, again from the last entry after a failure, until three attempts in a row read nothing new. */
  async #readBoot(boot: string): Promise<void> {
    let [failures, reason] = [0, ''];
    while (failures < attempts) {
      const before = this.#cursor;
      const failure = await this.#readOnce(boot, failures === 0);
      clearTimeout(this.#stall);
      if (failure === undefined) return;
      reason = failure;
      failures = this.#cursor === before ? failures + 1 : 1;
      if (failures < attempts) await sleep(retryMilliseconds);
      if (this.#isStopped) return;
    }
    this.#options.events.trouble(`the rest of the journal of boot ${boot} cannot be read: ${reason}`);
  }

  /** Reads the rest of a boot. @returns why that failed; undefined if everything was read */
  #readOnce(boot: string, fast: boolean): Promise<string | undefined> {
    const { fields, events } = this.#options;
    events.started();
    const parser = new ExportParser(fields);
    const start: StartPosition =
      this.#cursor === '' ? { at: 'head' } : { at: 'cursor', cursor: this.#cursor };
    let known = parseCursor(this.#cursor);
    return new Promise((resolve) => {
      const fail = (reason: string) => {
        this.#stream?.stop();
        resolve(reason);
      };
      const stalled = () => {
        if (!this.#paused) fail(`journalctl printed nothing for ${stallMilliseconds / 1000} s`);
      };
      const read = (chunk: Buffer) => {
        this.#stall?.refresh();
        let entries: LogEntry[];
        try {
          entries = parser.push(chunk);
        } catch (error) {
          fail((error as Error).message);
          return;
        }
        const first = parseCursor(entries[0]?.cursor ?? '');
        // The entry at which reading began was read before.
        const isKnown = first !== undefined && known !== undefined && sameEntry(first, known);
        if (entries.length > 0) known = undefined;
        this.#emit(isKnown ? entries.slice(1) : entries);
      };
      this.#stream = followJournal({ start, fields, boot, fast }, read, ({ complete, reason }) => {
        const broken = parser.end();
        if (broken !== undefined && broken !== '' && broken !== this.#cursor)
          this.#emit([item('partial', broken, '')]);
        resolve(complete && broken === undefined ? undefined : reason);
      });
      if (this.#paused) this.#stream.pause();
      this.#stall = setTimeout(stalled, stallMilliseconds);
    });
  }

  #emit(entries: LogEntry[]): void {
    const last = entries.findLast(({ kind, cursor }) => kind !== 'piece' && cursor !== '')?.cursor;
    if (last !== undefined) this.#cursor = last;
    if (entries.length > 0) this.#options.events.entries(entries);
  }
}
