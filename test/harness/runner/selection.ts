import fs from 'node:fs';
import path from 'node:path';

/** The linters run as one test file. */
export const lintFile = 'test/lint.ts';

/** Guest tests of 5 to 15 minutes each, which `npm run test:long` runs before a release. */
const longFolder = 'test/vm/long/';

/** Folders and files that take so long that only `npm run test:all` runs them. */
const onlyInAll: readonly string[] = [
  'test/vm/matrix/',
  'test/monitoring/outage.test.ts',
  'test/packaging/release/release.test.ts',
  'test/wire/',
  'test/system/ansible-evidence.test.ts',
  'test/system/forwarder-files.test.ts',
  'test/system/prepare-home.test.ts',
  'test/system/prepare-home-interrupted.test.ts',
  'test/system/prepare-move-',
  'test/system/prometheus-file.test.ts',
];

/** Folders that are part of every run although they are below a folder of `onlyInAll`. */
const always: readonly string[] = ['test/wire/smoke/'];

export interface Selection {
  /** Parts of paths; a file that contains one of them is selected. Empty: every file. */
  filters: readonly string[];
  /** What a run without filters selects: quick files, every file but the long ones, or the long ones. */
  extent: 'quick' | 'all' | 'long';
}

/**
 * Returns the linters and the files of test/**\/*.test.ts that a run selects, sorted. Files below a `fixtures` folder
 * are never selected.
 */
export function selectFiles(root: string, { filters, extent }: Selection): string[] {
  const files = findFiles(root);
  if (filters.length > 0) return files.filter((file) => filters.some((filter) => file.includes(filter)));
  const isLong = (file: string) => file.startsWith(longFolder);
  if (extent === 'long') return files.filter(isLong);
  return files.filter((file) => !isLong(file) && (extent === 'all' || isInQuickRun(file)));
}

function isInQuickRun(file: string): boolean {
  const isBelow = (prefix: string) => file.startsWith(prefix);
  return always.some(isBelow) || !onlyInAll.some(isBelow);
}

function findFiles(root: string): string[] {
  const found = fs
    .readdirSync(path.join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.ts') && !file.split('/').includes('fixtures'))
    .map((file) => `test/${file}`);
  return [lintFile, ...found.sort()];
}
