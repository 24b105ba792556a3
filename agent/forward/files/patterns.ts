import path from 'node:path';
import { SystemError, unlessSystemError } from '../../lib/errors.ts';
import { namesIn, statLogFile } from '../../system/log-file.ts';
import { isRotation } from './generations.ts';

export const wildcard = /[*?[]/;
const compressed = /\.(gz|xz|bz2|zst|lz4|Z)$/;
const mostMatches = 400;

/**
 * Returns the paths that a pattern matches. A pattern without wildcards matches its own name, whatever that is. A pattern
 * with wildcards matches neither compressed files nor what exists and is no regular file: directories, FIFOs, links.
 * @param unreadable receives the error of each directory that cannot be read
 * @param seen receives the directories in which files were searched, and what was matched but is no regular file
 */
export function expandPattern(
  pattern: string,
  unreadable: (error: SystemError) => void,
  seen: { directory?: (path: string) => void; other?: (path: string) => void } = {},
): string[] {
  let found = [''];
  let isExpanded = false;
  for (const name of path.posix.normalize(pattern).split('/').slice(1)) {
    isExpanded ||= wildcard.test(name);
    if (isExpanded) for (const directory of found) seen.directory?.(directory || '/');
    found = wildcard.test(name)
      ? found.flatMap((directory) =>
          matchingNames(directory, name, unreadable).map((each) => `${directory}/${each}`),
        )
      : found.map((directory) => `${directory}/${name}`);
  }
  if (!wildcard.test(pattern)) return found;
  const logs = found.filter((file) => {
    if (mayBeLog(file)) return true;
    seen.other?.(file);
    return false;
  });
  return logs.slice(0, mostMatches);
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
    return names.filter((name) => !compressed.test(name));
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

/** Whether a pattern would match a path, if it existed, as a log or as a directory in which logs are searched. */
export function matchOf(pattern: string, file: string): 'log' | 'directory' | undefined {
  const patterns = path.posix.normalize(pattern).split('/');
  const names = file.split('/');
  const matches = names.every((name, at) => {
    const wanted = patterns[at] ?? '';
    return wildcard.test(wanted) ? path.posix.matchesGlob(name, wanted) : name === wanted;
  });
  if (!matches || names.length > patterns.length) return undefined;
  if (names.length < patterns.length) return 'directory';
  return wildcard.test(pattern) && compressed.test(file) ? undefined : 'log';
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
