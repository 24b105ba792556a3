import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { type Result, runFile } from './run-file.ts';
import { recordPasses } from './scenarios.ts';
import { Schedule, lanes, recordDurations, timeLimit } from './schedule.ts';
import { type Selection, selectFiles } from './selection.ts';

const slowestShown = 10;

/** The number of failed files that are repeated. If more files failed, chance is not the reason. */
const repeatedAtMost = 3;

/** What to do beside running the selected files. */
export interface Extras {
  /** Whether the durations become those by which later runs are ordered, and the record says which scenarios passed. */
  record?: boolean;
  /** Whether files that failed run once more, each by itself, after all others. A file that then passes is unstable. */
  repeat?: boolean;
}

/**
 * Runs the selected files and prints a line for each, the slowest files, the unstable and the failed ones, and
 * `N passed, N failed`.
 *
 * @param root the project's directory; files run in it
 * @returns whether every file passed, if need be when it was repeated, and at least one ran
 */
export async function runAll(
  root: string,
  selection: Selection,
  print: (text: string) => void,
  { record = false, repeat = false }: Extras = {},
): Promise<boolean> {
  const files = selectFiles(root, selection, print);
  const results = new Map<string, Result>();
  print(spaceWarning(files, fs.statfsSync(root)));
  if (files.length === 0) {
    const filters = selection.filters.join(' ');
    results.set(filters, { passed: 0, failed: 1, problem: 'no file matches', output: '', seconds: 0 });
  }
  await inLanes(new Schedule(root, files), async ({ file, limitSeconds }) => {
    const result = await runFile(root, file, limitSeconds);
    print(describe(file, result));
    results.set(file, result);
  });
  for (const file of files.filter((each) => !results.has(each))) {
    const result = { passed: 0, failed: 1, problem: 'did not run', output: '', seconds: 0 };
    print(describe(file, result));
    results.set(file, result);
  }
  const unstable = repeat ? await repeatFailed(root, results, print) : [];
  if (record) {
    const good = [...results].filter(([, { problem }]) => problem === '');
    recordPasses(
      root,
      good.map(([file]) => file),
    );
    recordDurations(root, new Map(good.map(([file, { seconds }]) => [file, seconds])));
  }
  print(slowest(results));
  const all = [...results.values()];
  const passed = all.reduce((sum, result) => sum + result.passed, 0);
  const failed = all.reduce((sum, result) => sum + result.failed, 0);
  print(unstable.map((line) => `unstable: ${line}\n`).join(''));
  print(failures(results));
  print(`${passed} passed, ${failed} failed\n`);
  return failed === 0;
}

/** What the disks of the guests that run at the same time take, with the trees from which they are made, in bytes. */
const neededForGuests = 20e9;

/** @returns a line if the disk may become full, which makes tests fail for other reasons than their own; otherwise an empty text */
export function spaceWarning(
  files: readonly string[],
  { bavail, bsize }: Pick<fs.StatsFs, 'bavail' | 'bsize'>,
): string {
  const free = bavail * bsize;
  if (free >= neededForGuests || !files.some((file) => file.startsWith('test/vm/'))) return '';
  const [needed, left] = [neededForGuests, free].map((bytes) => `${Math.floor(bytes / 1e9)} GB`);
  return `warning: the disks of the guests may need ${needed}, and ${left} are free\n`;
}

/**
 * Repeats files that failed, one after the other. In emulation, the order of events in a guest depends on the load of
 * the machine: a file that passes now has a race, in the test or in the product, and the output of its failure has been
 * printed.
 *
 * @param results receives the results of the files that pass
 * @returns a line for each file that passes now, with the problem it had
 */
async function repeatFailed(
  root: string,
  results: Map<string, Result>,
  print: (text: string) => void,
): Promise<string[]> {
  const failed = [...results].filter(
    ([file, { problem }]) => problem !== '' && fs.existsSync(path.join(root, file)),
  );
  if (failed.length > repeatedAtMost) return [];
  const unstable: string[] = [];
  for (const [file, { problem }] of failed) {
    const again = await runFile(root, file, timeLimit(file));
    print(describe(file, again));
    if (again.problem !== '') continue;
    unstable.push(`${file}: ${problem}, then passed`);
    results.set(file, again);
  }
  return unstable;
}

/**
 * Runs the files in the lanes, and one more at a time in a further lane when the processors were idle for a while, as they are
 * while all guests wait for something.
 */
async function inLanes(
  schedule: Schedule,
  run: (job: NonNullable<ReturnType<Schedule['take']>>) => Promise<void>,
): Promise<void> {
  let someEnded = Promise.withResolvers<undefined>();
  const runJob = async (job: NonNullable<ReturnType<Schedule['take']>>) => {
    await run(job);
    schedule.done(job);
    someEnded.resolve(undefined);
    someEnded = Promise.withResolvers();
  };
  const lane = async () => {
    while (!schedule.isEmpty) {
      const job = schedule.take();
      if (job === undefined) await someEnded.promise;
      else await runJob(job);
    }
  };
  const furtherLane = async () => {
    while (!schedule.isEmpty) {
      const before = os.cpus();
      await Promise.race([setTimeout(idleSeconds * 1000, undefined, { ref: false }), ended]);
      const job = idleShare(before, os.cpus()) < idleAtLeast ? undefined : schedule.take(1);
      if (job !== undefined) await runJob(job);
    }
  };
  const ended = Promise.all(Array.from({ length: lanes }, lane));
  await Promise.all([ended, furtherLane()]);
}

/** A further file starts when the processors were idle for this share of so many seconds. */
const idleAtLeast = 0.35;
const idleSeconds = 10;

/** @returns the share of the time between two calls of os.cpus() in which the processors were idle */
export function idleShare(before: readonly os.CpuInfo[], after: readonly os.CpuInfo[]): number {
  const sum = (cpus: readonly os.CpuInfo[], times: (cpu: os.CpuInfo) => number[]) =>
    cpus.flatMap(times).reduce((total, each) => total + each, 0);
  const since = (times: (cpu: os.CpuInfo) => number[]) => sum(after, times) - sum(before, times);
  const all = since((cpu) => Object.values(cpu.times));
  return all > 0 ? since((cpu) => [cpu.times.idle]) / all : 0;
}

/** Describes the result of a file: for a failed file with its whole output, for a passed file without. */
function describe(file: string, { passed, failed, problem, output, seconds }: Result): string {
  const time = `${seconds.toFixed(1)} s`;
  if (problem === '') return `passed  ${file}  (${passed}, ${time})\n`;
  const whole = output === '' || output.endsWith('\n') ? output : `${output}\n`;
  return `failed  ${file}  (${passed} passed, ${failed} failed, ${time}): ${problem}\n${whole}`;
}

/** Lists the slowest files, if there are enough files for the list to be useful. */
function slowest(results: ReadonlyMap<string, Result>): string {
  if (results.size <= slowestShown) return '';
  const lines = [...results]
    .sort(([, a], [, b]) => b.seconds - a.seconds)
    .slice(0, slowestShown)
    .map(([file, { seconds }]) => `  ${seconds.toFixed(0).padStart(5)} s  ${file}\n`);
  return `slowest files:\n${lines.join('')}`;
}

/** Names the failed files once more at the end, where the reader of a long log looks first. */
function failures(results: ReadonlyMap<string, Result>): string {
  const failed = [...results].filter(([, { problem }]) => problem !== '');
  return failed.map(([file, { problem }]) => `failed: ${file}: ${problem}\n`).join('');
}
