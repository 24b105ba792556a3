/** Which paths are of interest. */
export interface Selection {
  /** Whether a path is one of the selected paths or below one. */
  has(path: string): boolean;
  /** Whether a directory is selected or leads to a selected path. */
  leadsTo(directory: string): boolean;
}

/** @param paths absolute, normalised; one character per byte (latin1). Selects everything if empty. */
export function selection(paths: readonly string[]): Selection {
  const has = (path: string) => paths.some((each) => isAtOrBelow(path, each));
  if (paths.length === 0) return { has: () => true, leadsTo: () => true };
  return {
    has,
    leadsTo: (directory) => has(directory) || paths.some((each) => isAtOrBelow(each, directory)),
  };
}

export function isAtOrBelow(path: string, directory: string): boolean {
  return directory === '/' || path === directory || path.startsWith(`${directory}/`);
}
