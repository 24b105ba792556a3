/** How many acknowledged entries may be more than the saved cursor says, and for how long. */
const unsavedEntries = 256;
const unsavedMilliseconds = 200;

/** The cursor of the last entry that a server has acknowledged, in memory and, a little later, on disk. */
export class Progress {
  cursor: string;
  /** Acknowledged entries that the file does not know of: a killed agent would send them again. */
  unsaved = 0;
  readonly #write: (cursor: string) => void;
  #timer: NodeJS.Timeout | undefined;

  /** @param write what makes a cursor last; must not throw */
  constructor(cursor: string, write: (cursor: string) => void) {
    this.cursor = cursor;
    this.#write = write;
  }

  acknowledge(entries: number, cursor: string): void {
    this.cursor = cursor;
    this.unsaved += entries;
    if (this.unsaved >= unsavedEntries) this.save();
    else this.#timer ??= setTimeout(() => this.save(), unsavedMilliseconds);
  }

  save(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.unsaved === 0) return;
    this.unsaved = 0;
    this.#write(this.cursor);
  }
}
