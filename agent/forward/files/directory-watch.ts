import path from 'node:path';
import { unlessSystemError } from '../../lib/errors.ts';
import { statLogDirectory, watchDirectory } from '../../system/log-file.ts';

/** The maximum number of directories that are watched: a wildcard may match any number of them. */
const mostDirectories = 100;

interface Watched {
  inode: string;
  modified: number;
  stop: () => void;
}

/**
 * Watches the directories in which logs may appear. inotify(7) reports each name at once, but not on every file system, so
 * the mtimes of the directories are compared as well.
 */
export class DirectoryWatch {
  readonly #changed: (file?: string) => void;
  readonly #watched = new Map<string, Watched>();

  /** @param changed receives the path of what appeared or disappeared; undefined after any other change */
  constructor(changed: (file?: string) => void) {
    this.#changed = changed;
  }

  /** Watches these directories, as far as they exist, and no others. */
  set(directories: ReadonlySet<string>): void {
    const some = new Set([...directories].slice(0, mostDirectories));
    for (const directory of this.#watched.keys()) if (!some.has(directory)) this.#end(directory);
    for (const directory of some) this.#watch(directory);
  }

  /** Whether an entry of any of the directories was added or removed since the last call. */
  haveChanged(): boolean {
    let changed = false;
    for (const [directory, watched] of this.#watched) {
      const stat = statOf(directory);
      if (stat?.inode === watched.inode && stat.modified === watched.modified) continue;
      watched.modified = stat?.modified ?? 0;
      changed = true;
    }
    return changed;
  }

  #watch(directory: string): void {
    const stat = statOf(directory);
    if (this.#watched.get(directory)?.inode === stat?.inode) return;
    this.#end(directory);
    if (stat === undefined) return;
    const stop = watchDirectory(directory, (name) => {
      // When the directory itself is removed, libuv reports its own name.
      const isOwn = name === path.basename(directory) && statOf(directory)?.inode !== stat.inode;
      this.#changed(name === undefined || isOwn ? undefined : path.join(directory, name));
    });
    // What appeared before the watch began is found when the mtimes are compared for the first time.
    this.#watched.set(directory, { inode: stat.inode, modified: 0, stop });
  }

  #end(directory: string): void {
    this.#watched.get(directory)?.stop();
    this.#watched.delete(directory);
  }
}

const statOf = (directory: string) => unlessSystemError(() => statLogDirectory(directory));
