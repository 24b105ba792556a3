import { isBelow } from '../facts/mounts/mountinfo.ts';

/** Which paths are of interest. */
export interface Selection {
  /** Whether a path is one of the selected paths or below one. */
  has(path: string): boolean;
  /** Whether a directory is selected or leads to a selected path. */
  leadsTo(directory: string): boolean;
}

/** @param paths absolute, normalised; one character per byte (latin1). Selects everything if empty. */
export function selection(paths: readonly string[]): Selection {
  const has = (path: string) => paths.some((each) => isBelow(path, each));
  if (paths.length === 0) return { has: () => true, leadsTo: () => true };
  return {
    has,
    leadsTo: (directory) => has(directory) || paths.some((each) => isBelow(each, directory)),
  };
}
