import type { Ended, SystemReader } from './reader.ts';

/**
 * Runs find(1), which inspects a file within microseconds, follows no symbolic link, and opens each directory relative to
 * its parent.
 * @param args with no option newer than findutils 4.5.11 (RHEL 7); records end in NUL (-printf '…\0'), which no name
 *     contains
 * @param take receives each record as it is found, one character per byte (latin1)
 */
export async function findRecords(
  reader: SystemReader,
  args: readonly string[],
  milliseconds: number,
  take: (record: string) => void,
): Promise<Ended['ended']> {
  const { ended } = await reader.run('/usr/bin/find', args, milliseconds, recordsOf(take));
  return ended;
}

/** Quotes a path for -path, which takes a pattern (fnmatch(3)). */
export function asPattern(path: string): string {
  return path.replace(/[*?[\]\\]/g, '\\$&');
}

/**
 * Returns the expression that keeps find(1) out of some directories. Only directories are compared with the paths, which
 * otherwise takes most of the time of a search. So a path that is not a directory is found nevertheless.
 */
export function prune(directories: readonly string[]): string[] {
  if (directories.length === 0) return [];
  const paths = directories.flatMap((path) => ['-o', '-path', asPattern(path)]);
  return ['-type', 'd', '(', ...paths.slice(1), ')', '-prune', '-o'];
}

/** Returns a function that takes output in parts and calls `take` for each record that ends in the terminator. */
export function recordsOf(take: (record: string) => void, terminator = '\0'): (part: string) => void {
  let rest = '';
  return (part) => {
    let from = 0;
    for (let end = part.indexOf(terminator); end !== -1; end = part.indexOf(terminator, from)) {
      take(rest === '' ? part.slice(from, end) : rest + part.slice(from, end));
      rest = '';
      from = end + 1;
    }
    rest += part.slice(from);
  };
}
