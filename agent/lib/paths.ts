/** The part of a path after the last slash. The path does not end with a slash. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** The directory of an absolute path, without links and without a slash at its end. */
export function parentOf(path: string): string {
  return path.slice(0, Math.max(1, path.lastIndexOf('/')));
}

/** Whether a path is equal to a directory or below it. */
export function isBelow(path: string, directory: string): boolean {
  return directory === '/' || path === directory || path.startsWith(`${directory}/`);
}

/** Returns the paths in their order, except that an outer path is before the paths below it. */
export function outerFirst(paths: readonly string[]): string[] {
  return paths.reduce<string[]>((sorted, path) => {
    const inner = sorted.findIndex((other) => isBelow(other, path));
    return inner === -1 ? [...sorted, path] : sorted.toSpliced(inner, 0, path);
  }, []);
}
