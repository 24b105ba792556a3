import type { LogFileStat } from '../../system/log-file.ts';

type Identity = Pick<LogFileStat, 'bytes' | 'modified'>;

/**
 * The rotated files of a log that need not be opened any more. A file is recognised by its size and its mtime, which stay
 * the same when it is renamed. Its inode is not compared: a new file may get that of a removed one, and on Linux 3.10 an
 * overlay changes it when the file is renamed for the first time. The times of two files are not compared either, because
 * the clock may have been set back between them.
 */
export class SeenFiles {
  #seen = new Set<string>();

  has(file: Identity): boolean {
    return this.#seen.has(identityOf(file));
  }

  add(file: Identity): void {
    this.#seen.add(identityOf(file));
  }

  /** Forgets all other files. */
  set(files: readonly Identity[]): void {
    this.#seen = new Set(files.map(identityOf));
  }
}

const identityOf = ({ bytes, modified }: Identity) => `${bytes}:${modified}`;
