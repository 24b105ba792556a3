/** Which paths are of interest. */
export interface Selection {
  /** Whether a path is one of the selected paths or below one. */
  has(path: string): boolean;
  /** Whether a folder is selected or leads to a selected path. */
  leadsTo(folder: string): boolean;
}

/** @param paths absolute, normalised; one character per byte (latin1). Selects everything if empty. */
export function selection(paths: readonly string[]): Selection {
  const has = (path: string) => paths.some((each) => isAtOrBelow(path, each));
  if (paths.length === 0) return { has: () => true, leadsTo: () => true };
  return { has, leadsTo: (folder) => has(folder) || paths.some((each) => isAtOrBelow(each, folder)) };
}

export function isAtOrBelow(path: string, folder: string): boolean {
  return folder === '/' || path === folder || path.startsWith(`${folder}/`);
}
