import { type Result, runFile } from './run-file.ts';
import { Schedule, lanes, recordDurations } from './schedule.ts';
import { type Selection, selectFiles } from './selection.ts';

const slowestShown = 10;

/**
 * Runs the selected files and prints a line for each, the slowest files, and `N passed, N failed`.
 *
 * @param root the project's folder; files run in it
 * @param record whether the durations become those by which later runs are ordered
 * @returns whether every file passed, and at least one ran
 */
export async function runAll(
  root: string,
  selection: Selection,
  print: (text: string) => void,
  record = false,
): Promise<boolean> {
  const files = selectFiles(root, selection);
  const results = new Map<string, Result>();
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
  if (record) recordDurations(root, new Map([...results].map(([file, { seconds }]) => [file, seconds])));
  print(slowest(results));
  const all = [...results.values()];
  const passed = all.reduce((sum, result) => sum + result.passed, 0);
  const failed = all.reduce((sum, result) => sum + result.failed, 0);
  print(failures(results));
  print(`${passed} passed, ${failed} failed\n`);
  return failed === 0;
}

async function inLanes(
  schedule: Schedule,
  run: (job: NonNullable<ReturnType<Schedule['take']>>) => Promise<void>,
): Promise<void> {
  let someEnded = Promise.withResolvers<undefined>();
  const lane = async () => {
    while (!schedule.isEmpty) {
      const job = schedule.take();
      if (job === undefined) {
        await someEnded.promise;
        continue;
      }
      await run(job);
      schedule.done(job);
      someEnded.resolve(undefined);
      someEnded = Promise.withResolvers();
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
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
