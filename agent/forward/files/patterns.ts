import path from 'node:path';
import { SystemError, unlessSystemError } from '../../lib/errors.ts';
import { namesIn, statLogFile } from '../../system/log-file.ts';
import { isRotation } from './generations.ts';

export const wildcard = /[*?[]/;
const mostMatches = 400;

/**
 * Returns the paths that a pattern matches. A pattern without wildcards matches its own name, whatever that is. A pattern
 * with wildcards matches neither compressed files nor what exists and is no regular file: directories, FIFOs, links.
 * @param unreadable receives the error of each directory that cannot be read
 */
export function expandPattern(pattern: string, unreadable: (error: SystemError) => void): string[] {
  let found = [''];
  for (const name of path.posix.normalize(pattern).split('/').slice(1)) {
    found = wildcard.test(name)
      ? found.flatMap((directory) =>
          matchingNames(directory, name, unreadable).map((each) => `${directory}/${each}`),
        )
      : found.map((directory) => `${directory}/${name}`);
  }
  return wildcard.test(pattern) ? found.filter(mayBeLog).slice(0, mostMatches) : found;
}

function matchingNames(
  directory: string,
  pattern: string,
  unreadable: (error: SystemError) => void,
): string[] {
  try {
    const names = namesIn(directory === '' ? '/' : directory).filter((name) =>
      path.posix.matchesGlob(name, pattern),
    );
    return names.filter((name) => !/\.(gz|xz|bz2|zst|lz4|Z)$/.test(name));
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    unreadable(error);
    return [];
  }
}

/** Whether a path names a regular file, or does not exist yet, or cannot be examined, which is reported later. */
function mayBeLog(file: string): boolean {
  return unlessSystemError(() => statLogFile(file))?.isFile !== false;
}

/** Whether a file is a rotated file of another log: it is read as a part of that log. */
export function isRotationOfAny(file: string, logs: ReadonlySet<string>): boolean {
  for (let end = file.length - 1; end > file.lastIndexOf('/') + 1; end -= 1) {
    if (
      (file[end] === '.' || file[end] === '-') &&
      logs.has(file.slice(0, end)) &&
      isRotation(file.slice(end))
    )
      return true;
  }
  return false;
}

/** Returns the directory before the first wildcard. */
export function fixedDirectory(pattern: string): string {
  const names = pattern.split('/');
  const first = names.findIndex((name) => wildcard.test(name));
  return names.slice(0, first < 0 ? -1 : first).join('/') || '/';
}
