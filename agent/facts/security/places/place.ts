/**
 * Why `changes` shows a file below a place: cron starts it, systemd reads it, and so on (agent/changes/category.ts).
 */
export type PlaceCategory = 'cron' | 'unit' | 'udev' | 'at' | 'startup' | 'login';

/** A directory or a file from which programs start without an action of the user who owns them, or that grants access. */
export interface Place {
  path: string;
  /** Completes the sentence "PATH is not only data: …". Contains no single quote, because sh reads it, too. */
  why: string;
  /** Absent if services also write there in ordinary operation, so that a changed file alone says nothing. */
  category?: PlaceCategory;
}

/** Returns the rows for paths that have the same reason. */
export function rows(why: string, category: PlaceCategory | undefined, paths: string): Place[] {
  return paths
    .trim()
    .split(/\s+/)
    .map((path) => ({ path, why, ...(category === undefined ? {} : { category }) }));
}
