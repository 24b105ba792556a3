import { isFilePosition } from '../stages.ts';
import type { FileRecord } from '../files/content.ts';
import type { LogFiles } from '../files/log-files.ts';

/** The maximum lag of the store behind the acknowledgements, in entries and in milliseconds. */
const unsavedEntries = 256;
const unsavedMilliseconds = 200;

export interface Acknowledged {
  /** The cursor of the last journal entry; '' if there is none in this boot. */
  cursor: string;
  files: readonly FileRecord[];
}

type FilePositions = Pick<LogFiles, 'acknowledge' | 'records'>;

/**
 * The last journal entry and the last line of each log file that a server has acknowledged. This is the last stage of the
 * pipeline. They are saved after a short delay. After a restart, forwarding continues after them.
 */
export class Checkpoint {
  cursor: string;
  /** The number of acknowledged entries and lines that are not saved. They are sent again if the agent is killed. */
  unsaved = 0;
  readonly #files: FilePositions;
  readonly #save: (acknowledged: Acknowledged) => void;
  #timer: NodeJS.Timeout | undefined;

  /** @param save saves what is acknowledged (checkpoint-store.ts); must not throw */
  constructor(cursor: string, files: FilePositions, save: (acknowledged: Acknowledged) => void) {
    this.cursor = cursor;
    this.#files = files;
    this.#save = save;
  }

  /** Moves the checkpoint. @param cursors the last cursor of the journal and the last position in each log file */
  acknowledge(entries: number, cursors: readonly string[]): void {
    if (cursors.length === 0) return;
    for (const cursor of cursors) {
      if (isFilePosition(cursor)) this.#files.acknowledge(cursor);
      else this.cursor = cursor;
    }
    this.unsaved += entries;
    if (this.unsaved >= unsavedEntries) this.save();
    else this.#timer ??= setTimeout(() => this.save(), unsavedMilliseconds);
  }

  save(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.unsaved === 0) return;
    this.unsaved = 0;
    this.#save({ cursor: this.cursor, files: this.#files.records() });
  }
}
