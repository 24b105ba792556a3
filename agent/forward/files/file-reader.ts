import type { FileEvents, Reader } from '../stages.ts';
import type { LogFiles } from './log-files.ts';

const pollMilliseconds = 1000;
/** The interval while the end of a log is held back until it has been unchanged for a while. */
const holdMilliseconds = 100;
/** The delay after a change that inotify(7) reports, so that several changes are read at once. */
const hintMilliseconds = 20;

/** Reads the lines of the log files for one connection, beginning after the last acknowledged lines. */
export class FileReader implements Reader {
  settled = false;
  /** Errors belong to single logs and are part of their state. */
  readonly problem = '';
  readonly #files: LogFiles;
  readonly #events: FileEvents;
  #timer: NodeJS.Timeout | undefined;
  #hint: NodeJS.Timeout | undefined;
  #soon: NodeJS.Immediate | undefined;
  #paused = false;
  #stopped = false;

  constructor(files: LogFiles, events: FileEvents) {
    this.#files = files;
    this.#events = events;
  }

  start(): void {
    this.#files.attach({
      lost: (text) => this.#events.lost(text),
      wake: () => {
        this.settled = false;
        this.#readSoon();
      },
      changed: () => this.#hinted(),
    });
    this.#poll();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (!this.settled) this.#readSoon();
  }

  stop(): void {
    this.#stopped = true;
    this.#files.attach(undefined);
    clearTimeout(this.#timer);
    clearTimeout(this.#hint);
    clearImmediate(this.#soon);
  }

  #hinted(): void {
    this.#hint ??= setTimeout(() => {
      this.#hint = undefined;
      this.#read();
    }, hintMilliseconds);
  }

  #poll(): void {
    if (this.#files.isEmpty) {
      this.settled = true;
      return;
    }
    this.#files.observe();
    this.#read();
    if (this.#stopped) return;
    this.#timer = setTimeout(() => this.#poll(), this.#files.holding ? holdMilliseconds : pollMilliseconds);
  }

  #readSoon(): void {
    this.#soon ??= setImmediate(() => {
      this.#soon = undefined;
      this.#read();
    });
  }

  /** Emits one chunk, and schedules the next one, so that the journal and the acknowledgements take their turns. */
  #read(): void {
    if (this.#paused || this.#stopped) return;
    const chunk = this.#files.next(performance.now());
    this.settled = chunk === undefined;
    if (chunk === undefined) return;
    this.#readSoon();
    this.#events.lines(chunk);
  }
}
