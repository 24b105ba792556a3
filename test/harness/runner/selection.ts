import fs from 'node:fs';
import path from 'node:path';
import { chooseScenarios, circumstances, isScenario } from './scenarios.ts';
import { durationOf } from './schedule.ts';

/** The linters run as one test file. */
export const lintFile = 'test/lint.ts';

/** Guest tests of 5 to 15 minutes each, which `npm run test:long` runs before a release. */
const longFolder = 'test/vm/long/';

/** Folders and files that take so long that `npm test` does not run them. */
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

/** Needs the sources of RHEL, which are not part of the project. */
const fromSources = 'test/el/module.test.ts';

export interface Selection {
  /** Parts of paths; a file that contains one of them is selected. Empty: every file. */
  filters: readonly string[];
  /**
   * What a run without filters selects: quick files; every file but the scenarios that are far from what changed; every
   * file but the long ones; or the long ones.
   */
  extent: 'quick' | 'change' | 'all' | 'long';
}

/**
 * Returns the linters and the files of test/**\/*.test.ts that a run selects, sorted. Files below a `fixtures` folder
 * are never selected, and the file that needs the sources of RHEL only with `EL_SOURCES` or if a filter names it.
 *
 * @param print receives what is left out: that file, and the scenarios for which the run has no time although the change touches them
 */
export function selectFiles(
  root: string,
  { filters, extent }: Selection,
  print: (text: string) => void = () => undefined,
): string[] {
  const found = findFiles(root);
  if (filters.length > 0) return found.filter((file) => filters.some((filter) => file.includes(filter)));
  const files = found.filter((file) => file !== fromSources || process.env['EL_SOURCES'] !== undefined);
  if (files.length < found.length) print(`left out  ${fromSources}: EL_SOURCES is not set\n`);
  if (extent === 'change') {
    const scenarios = files.filter(isScenario);
    const { chosen, leftOut } = chooseScenarios(root, scenarios, circumstances(root, durationOf(root)));
    print(leftOut.map((file) => `left out  ${file}: the change touches it\n`).join(''));
    return files.filter((file) => !isScenario(file) || chosen.includes(file));
  }
  const isLong = (file: string) => file.startsWith(longFolder);
  if (extent === 'long') return files.filter(isLong);
  return files.filter((file) => !isLong(file) && (extent === 'all' || isInQuickRun(file)));
}

function isInQuickRun(file: string): boolean {
  const isBelow = (prefix: string) => file.startsWith(prefix);
  return always.some(isBelow) || !onlyInAll.some(isBelow);
}

export function findFiles(root: string): string[] {
  const found = fs
    .readdirSync(path.join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.ts') && !file.split('/').includes('fixtures'))
    .map((file) => `test/${file}`);
  return [lintFile, ...found.sort()];
}
