import { SystemError } from '../lib/errors.ts';
import type { SystemReader } from '../system/reader.ts';
import { type TreeState, makeTreeState, parseTreeState } from '../system/tree.ts';
import type { SystemWriter } from '../system/writer.ts';
import type { Change } from './change.ts';

/** The changes that the last `changes --since-report` of this boot showed, eight bytes in base64 for each. */
export const sinceFile = '/run/immutafs/changes.seen';

/** The number of changes that are remembered, in at most 8 MiB. */
const mostRemembered = 1_000_000;

/** Tells new changes from those that were shown before, and remembers both. */
export type Remembered = ReturnType<typeof readRemembered>;

/**
 * A change is new if the file was written to, or changed its path or metadata: the kernel updates the ctime then. Root can
 * set the clock, and thereby the ctime, so the content of notable files decides as well.
 * @param limit the number of changes to remember
 * @throws SystemError if a user other than root can have written the stored state
 */
export function readRemembered(reader: SystemReader, limit = mostRemembered) {
  const text = reader.readRecord(sinceFile, 'root', mostRemembered * 11);
  const before: TreeState | undefined =
    text === undefined ? undefined : parseTreeState(Buffer.from(text, 'base64').toString('latin1'));
  const now = makeTreeState();
  let [count, omitted] = [0, 0];
  return {
    /**
     * Whether a change was not shown before. Remembers it.
     * @param content the SHA-256 of a notable file; empty for others
     */
    isNew: (change: Change, content = ''): boolean => {
      const { path, change: kind, from = '', inode, size, mtime, ctime } = change;
      const name = `${kind}\0${path}\0${from}\0${content}`;
      const state = { inode, size: BigInt(size), modified: mtime, changed: ctime };
      if (count < limit) now.add(name, state);
      else omitted += 1;
      count += 1;
      return before === undefined || !before.has(name, state);
    },
    /** Stores what was shown. @returns how many changes were not remembered, because there are too many */
    store: (writer: SystemWriter): number => {
      try {
        writer.makeDirectory('/run/immutafs', 0o755);
        const text = Buffer.from(now.done().text(), 'latin1').toString('base64');
        writer.writeAtomically(sinceFile, text, 0o600);
      } catch (error) {
        if (error instanceof SystemError)
          throw new SystemError(`${error.message}; the next report repeats these changes`);
        throw error;
      }
      return omitted;
    },
  };
}
