import { type LogFile, statLogFile } from '../../system/log-file.ts';
import { type Generation, MovedError, openGeneration, openListed, rotatedFiles } from './generations.ts';
import { Tail } from './tail.ts';

/** The maximum number of files of one log that are open at a time. */
export const mostTails = 8;
/** How many unreadable rotated files are remembered, so that each is counted once. */
const mostSkipped = 1000;

export interface TailOpenerOptions {
  /** The name of the log. */
  path: string;
  /** Whether this is the log of auditd. */
  audit: boolean;
  nextId: () => number;
  /** Counts lost bytes, with the reason. */
  lose: (bytes: number, why: string) => void;
}

/** Opens the files of one log. */
export class TailOpener {
  readonly #options: TailOpenerOptions;
  /** The inodes of rotated files that cannot be read. */
  readonly #skipped = new Set<string>();

  constructor(options: TailOpenerOptions) {
    this.#options = options;
  }

  /**
   * Opens the oldest of the files; the others follow when these are read.
   * @param offset where to begin in the log itself
   * @throws MovedError if one of them was renamed meanwhile; none is open then
   * @throws SystemError if the log itself cannot be opened
   */
  openAll(generations: readonly Generation[], now: number, offset = 0): Tail[] {
    const opened: Tail[] = [];
    try {
      for (const generation of generations.slice(0, mostTails)) {
        // An error of the log itself is reported; a rotated file that cannot be read is counted as lost.
        const isLog = generation.file === this.#options.path;
        const file = isLog ? openListed(generation) : this.#openOrSkip(generation);
        if (file !== undefined)
          opened.push(this.open(file, isLog && offset <= generation.bytes ? offset : 0));
      }
    } catch (error) {
      for (const tail of opened) tail.close();
      throw error;
    }
    for (const tail of opened.slice(0, -1)) tail.retire(now);
    return opened;
  }

  /** Opens a rotated file. One that was removed or cannot be read is counted as lost, once. */
  #openOrSkip(generation: Generation): LogFile | undefined {
    let file: LogFile | undefined;
    try {
      file = openGeneration(generation);
    } catch (error) {
      if (!(error instanceof MovedError) || this.#exists(generation)) throw error;
      this.#options.lose(generation.bytes, 'it was removed before it could be read');
      return undefined;
    }
    if (file !== undefined || this.#skipped.has(generation.inode)) return file;
    if (this.#skipped.size >= mostSkipped) this.#skipped.clear();
    this.#skipped.add(generation.inode);
    this.#options.lose(generation.bytes, `${generation.file} cannot be read`);
    return undefined;
  }

  /** Whether a file of the log still exists, under whatever name. */
  #exists({ inode }: Generation): boolean {
    const { path } = this.#options;
    return statLogFile(path)?.inode === inode || rotatedFiles(path).some((each) => each.inode === inode);
  }

  /** Returns a tail that begins at an offset. */
  open(file: LogFile, offset: number): Tail {
    return this.#make(this.#options.nextId, file, offset);
  }

  /** Makes a tail. Closes the file if that fails. */
  #make(id: () => number, file: LogFile, acknowledged: number, read = acknowledged): Tail {
    const { path, audit } = this.#options;
    try {
      return new Tail({ id: id(), path, audit }, file, acknowledged, read);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** Opens copies of a log that copytruncate made, the oldest first. Nothing is written to them any more. */
  openCopies(copies: readonly Generation[]): Tail[] {
    const opened = this.openAll(copies, 0);
    for (const tail of opened) tail.retire(0, true);
    return opened;
  }

  /** Returns a tail that continues another one in a file with the same content. It keeps the id, as offsets are equal. */
  continue(tail: Tail, file: LogFile): Tail {
    return this.#make(() => tail.id, file, tail.acknowledged, tail.read);
  }
}
