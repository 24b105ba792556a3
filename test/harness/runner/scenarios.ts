/**
 * Which of the long tests (`test/vm/matrix`, `test/vm/long`, and moves with faults) a run of the continuous integration
 * contains: the brief ones, a twelfth of the others, which the commit chooses, and those nearest to what changed since
 * they last passed. All of them take several hours in emulation.
 */
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

/** When each scenario last passed, as a run with --record saw it. */
export const passesFile = 'test/harness/runner/passes.json';

export interface Pass {
  /** The commit on which the scenario passed; the work tree had no changes. */
  commit: string;
  /** Such as `2026-12-01`. */
  date: string;
}

const beginnings = [
  'test/vm/matrix/',
  'test/vm/long/',
  // Without a guest, but with a power cut or a failure at each point of a move.
  'test/system/prepare-home-interrupted.test.ts',
  'test/system/prepare-move-',
];

/** A scenario that takes no longer than this, in seconds, is in every run: mostly playbooks without a guest that boots. */
const briefSeconds = 60;

/** The other scenarios are dealt to so many parts, of which a commit chooses one. */
const parts = 12;

/**
 * The sum of the durations of the other scenarios that one run contains. About two and a half run at a time, so that these
 * seconds are 20 minutes.
 */
const budgetSeconds = 3000;

/** A word or file that more scenarios have than this share does not tell them apart; `test/vm/smoke` tests it. */
const common = 1 / 4;

export const isScenario = (file: string): boolean =>
  beginnings.some((beginning) => file.startsWith(beginning));

export const readPasses = (root: string): Record<string, Pass> =>
  JSON.parse(fs.readFileSync(path.join(root, passesFile), 'utf8')) as Record<string, Pass>;

/** Writes the scenarios that passed. Nothing is written while the work tree has changes, because no commit names it. */
export function recordPasses(root: string, passed: readonly string[]): void {
  if (git(root, 'status', '--porcelain') !== '') return;
  const pass = { commit: git(root, 'rev-parse', '--short=12', 'HEAD') ?? '', date: today() };
  const all = Object.fromEntries(passed.filter(isScenario).map((file) => [file, pass]));
  const kept = Object.entries({ ...readPasses(root), ...all })
    .filter(([file]) => fs.existsSync(path.join(root, file)))
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
  fs.writeFileSync(path.join(root, passesFile), `${JSON.stringify(Object.fromEntries(kept), null, 2)}\n`);
}

/** A scenario that did not pass on one of the last so many commits is due. */
const dueAfter = 300;

/** @returns the scenarios that did not pass on one of the last commits, with the reason; none where git has no history */
export function dueScenarios(root: string, scenarios: readonly string[], within = dueAfter): string[] {
  const passes = readPasses(root);
  if (git(root, 'rev-parse', '--is-shallow-repository') !== 'false') return [];
  return scenarios.flatMap((file) => {
    const pass = passes[file];
    if (pass === undefined) return [`${file}: no pass is recorded`];
    const since = git(root, 'rev-list', '--count', `${pass.commit}..HEAD`);
    if (since !== undefined && Number(since) <= within) return [];
    return [`${file}: passed on ${pass.commit}, ${since ?? 'an unknown number of'} commits ago`];
  });
}

const today = (): string => new Date().toISOString().slice(0, 10);

/** What decides the choice, beside the scenarios' own text. */
export interface Circumstances {
  /** The hash of the commit, or the date where there is no git: a hexadecimal number. */
  commit: string;
  /** The files that changed since the scenario last passed; undefined if that is not known. */
  changed: (scenario: string) => readonly string[] | undefined;
  /** The duration of a scenario in seconds. */
  seconds: (scenario: string) => number;
}

/** What git and the record of passes tell. Without the history, as in a shallow clone, no change is known. */
export function circumstances(root: string, seconds: Circumstances['seconds']): Circumstances {
  const passes = readPasses(root);
  const since = new Map<string, readonly string[] | undefined>();
  const changedSince = (commit: string) => {
    if (!since.has(commit)) since.set(commit, git(root, 'diff', '--name-only', commit, 'HEAD')?.split('\n'));
    return since.get(commit);
  };
  return {
    commit: git(root, 'rev-parse', 'HEAD') ?? today().replaceAll('-', ''),
    changed: (scenario) => {
      const pass = passes[scenario];
      return pass === undefined ? undefined : changedSince(pass.commit);
    },
    seconds,
  };
}

/**
 * Chooses the brief scenarios and the part of the commit whole, and then, while the budget lasts, the scenarios that the change touches, the
 * nearest first, and those of which nothing is known.
 *
 * @returns the chosen scenarios, and those that the change touches but for which no time is left
 */
export function chooseScenarios(
  root: string,
  scenarios: readonly string[],
  { commit, changed, seconds }: Circumstances,
): { chosen: string[]; leftOut: string[] } {
  const number = Number.parseInt(commit.slice(-8), 16);
  const brief = scenarios.filter((scenario) => seconds(scenario) <= briefSeconds);
  const deal = scenarios
    .filter((scenario) => !brief.includes(scenario))
    .toSorted((a, b) => seconds(b) - seconds(a) || (a < b ? -1 : 1));
  const chosen = dealt(deal, seconds)[number % parts] ?? [];
  const nearness = nearnessOf(root, scenarios);
  const rest = deal
    .map((scenario, index) => ({ scenario, order: (index + number) % deal.length, near: near(scenario) }))
    .filter(({ scenario, near: value }) => value > 0 && !chosen.includes(scenario))
    .toSorted((a, b) => b.near - a.near || a.order - b.order)
    .map(({ scenario }) => scenario);
  let left = budgetSeconds - chosen.reduce((sum, scenario) => sum + seconds(scenario), 0);
  const leftOut: string[] = [];
  for (const scenario of rest) {
    const fits = seconds(scenario) <= left;
    (fits ? chosen : leftOut).push(scenario);
    if (fits) left -= seconds(scenario);
  }
  return { chosen: [...brief, ...chosen].toSorted(), leftOut };

  /** A scenario of which nothing is known comes after those that the change certainly touches. */
  function near(scenario: string): number {
    const files = changed(scenario);
    return files === undefined ? Number.MIN_VALUE : nearness(scenario, files);
  }
}

/** Deals scenarios, the longest first, each to the part that takes the least time so far. */
function dealt(scenarios: readonly string[], seconds: Circumstances['seconds']): string[][] {
  const all = Array.from({ length: parts }, () => ({ sum: 0, files: new Array<string>() }));
  for (const scenario of scenarios) {
    const least = all.reduce((a, b) => (b.sum < a.sum ? b : a));
    least.files.push(scenario);
    least.sum += seconds(scenario);
  }
  return all.map(({ files }) => files);
}

/**
 * How near a change is to a scenario: the number of changed test files that it imports, and of words in the names of
 * changed files that it contains, each weighed by how few scenarios have it (the inverse document frequency of text
 * search). One thing has one name in this project: what tests `scratch` says so, as do the files of `scratch`.
 */
function nearnessOf(root: string, scenarios: readonly string[]) {
  const words = new Map(
    scenarios.map((file) => [file, wordsIn(file + fs.readFileSync(path.join(root, file), 'utf8'))]),
  );
  const imports = new Map(scenarios.map((file) => [file, importsOf(root, file)]));
  const weight = (sets: ReadonlyMap<string, ReadonlySet<string>>, element: string) => {
    const share = [...sets.values()].filter((set) => set.has(element)).length / scenarios.length;
    return share === 0 || share > common ? 0 : -Math.log(share);
  };
  const sum = (
    sets: ReadonlyMap<string, ReadonlySet<string>>,
    scenario: string,
    elements: Iterable<string>,
  ) =>
    [...elements]
      .filter((element) => sets.get(scenario)?.has(element) === true)
      .reduce((total, element) => total + weight(sets, element), 0);
  return (scenario: string, files: readonly string[]): number => {
    const named = files.filter((file) => !/^(test\/|CHANGELOG|package)/.test(file)).map(withoutTop);
    return sum(words, scenario, wordsIn(named.join(' '))) + sum(imports, scenario, files);
  };
}

const wordsIn = (text: string): Set<string> => new Set(text.toLowerCase().match(/[a-z]{3,}/g));

/** `facts/disks` of `agent/facts/disks.ts`: the top folder and the extension say nothing. */
const withoutTop = (file: string): string => file.replace(/^[^/]*\//, '').replace(/\.\w+$/, '');

/** The files of `test/` that a file imports, itself included. */
function importsOf(root: string, file: string, found = new Set<string>()): Set<string> {
  if (found.has(file) || !file.startsWith('test/')) return found;
  found.add(file);
  const text = fs.readFileSync(path.join(root, file), 'utf8');
  for (const [, imported = ''] of text.matchAll(/\bfrom '(\.[^']+)'/g)) {
    importsOf(root, path.join(path.dirname(file), imported), found);
  }
  return found;
}

/** @returns what git prints, or undefined if it fails, for example because it does not know the commit */
function git(root: string, ...args: string[]): string | undefined {
  try {
    const stdio: ['ignore', 'pipe', 'ignore'] = ['ignore', 'pipe', 'ignore'];
    return execFileSync('/usr/bin/git', ['-C', root, ...args], { encoding: 'utf8', stdio }).trim();
  } catch {
    return undefined;
  }
}
