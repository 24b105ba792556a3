import path from 'node:path';
import { unlessSystemError } from '../../lib/errors.ts';
import type { SystemReader } from '../../system/reader.ts';

/**
 * Returns a function that finds the nearest existing folder of a path: the path itself if it is a folder. Answers are
 * cached, because programs repeat their attempts.
 */
export function folderFinder(reader: SystemReader): (file: string) => string {
  const known = new Map<string, string>();
  const find = (file: string): string => {
    if (file === '/') return file;
    const stat = unlessSystemError(() => reader.stat(file));
    return stat?.kind === 'directory' ? file : find(path.dirname(file));
  };
  return (file) => {
    const folder = known.get(file) ?? find(file);
    if (known.size < most) known.set(file, folder);
    return folder;
  };
}

const most = 5000;
