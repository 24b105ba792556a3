import { type Result, runFile } from './run-file.ts';
import { findFiles, stages } from './stages.ts';

/**
 * Runs what the filters select (everything, if there are none) and prints a line a file.
 * @param root the folder of the project; files run in it
 * @returns whether everything passed, and there was something
 */
export async function runAll(
  root: string,
  filters: readonly string[],
  print: (text: string) => void,
): Promise<boolean> {
  const files = findFiles(root).filter((file) => wanted(file, filters));
  const results: Result[] = [];
  if (files.length === 0) {
    print(`no file matches ${filters.join(' ')}\n`);
    results.push({ passed: 0, failed: 1, problem: 'nothing to run', output: '', seconds: 0 });
  }
  for (const { files: ofStage, atOnce, seconds } of stages(files)) {
    await inParallel(ofStage, atOnce, async (file) => {
      const result = await runFile(root, file, seconds);
      print(describe(file, result));
      results.push(result);
    });
  }
  const passed = results.reduce((sum, result) => sum + result.passed, 0);
  const failed = results.reduce((sum, result) => sum + result.failed, 0);
  print(`${passed} passed, ${failed} failed\n`);
  return failed === 0;
}

function wanted(file: string, filters: readonly string[]): boolean {
  return filters.length === 0 || filters.some((filter) => file.includes(filter));
}

/** The whole output of a file that failed, and nothing of the others. */
function describe(file: string, { passed, failed, problem, output, seconds }: Result): string {
  const time = `${seconds.toFixed(1)} s`;
  if (problem === '') return `passed  ${file}  (${passed}, ${time})\n`;
  const whole = output === '' || output.endsWith('\n') ? output : `${output}\n`;
  return `failed  ${file}  (${passed} passed, ${failed} failed, ${time}): ${problem}\n${whole}`;
}

async function inParallel<T>(
  items: readonly T[],
  atOnce: number,
  action: (item: T) => Promise<void>,
): Promise<void> {
  const left = [...items];
  const work = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await action(item);
  };
  await Promise.all(Array.from({ length: atOnce }, work));
}
