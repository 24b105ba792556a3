import fs from 'node:fs';
import path from 'node:path';
import { type Ended, runInGroup } from './process-group.ts';
import { lintFile } from './stages.ts';

export interface Result {
  /** Tests, not files. */
  passed: number;
  /** At least 1 where there is a problem. */
  failed: number;
  /** Why the file failed; empty where it passed. */
  problem: string;
  output: string;
  seconds: number;
}

/** Runs one file of tests; everything about it that is not a clear success is a failure. */
export async function runFile(root: string, file: string, seconds: number): Promise<Result> {
  const begin = performance.now();
  const ended = await runInGroup(process.execPath, [file], root, seconds);
  const counts = file === lintFile ? lintCounts(ended.output) : uvuCounts(ended.output);
  const problem =
    file === lintFile
      ? judge(ended, counts, seconds)
      : judge(ended, counts, seconds) || unrun(fs.readFileSync(path.join(root, file), 'utf8'));
  const passed = counts?.passed ?? 0;
  const failed = problem === '' ? 0 : Math.max(1, (counts?.total ?? 0) - passed);
  return {
    passed,
    failed,
    problem,
    output: ended.output,
    seconds: (performance.now() - begin) / 1000,
  };
}

interface Counts {
  total: number;
  passed: number;
  skipped: number;
}

/** The last summary in uvu's words (uvu/dist/index.mjs, exec). */
function uvuCounts(output: string): Counts | undefined {
  // eslint-disable-next-line no-control-regex -- colours
  const plain = output.replace(/\x1b\[[0-9;]*m/g, '');
  const all = [...plain.matchAll(/^ {2}Total: {5}(\d+)\n {2}Passed: {4}(\d+)\n {2}Skipped: {3}(\d+)$/gm)];
  const [, total, passed, skipped] = all.at(-1) ?? [];
  return all.length === 1
    ? { total: Number(total), passed: Number(passed), skipped: Number(skipped) }
    : undefined;
}

function lintCounts(output: string): Counts | undefined {
  const [, passed, failed] = /(?:^|\n)(\d+) passed, (\d+) failed\n$/.exec(output) ?? [];
  if (passed === undefined || failed === undefined) return undefined;
  return { total: Number(passed) + Number(failed), passed: Number(passed), skipped: 0 };
}

/** uvu exits 0 where a `before` throws, so its exit code is not asked alone. */
function judge(ended: Ended, counts: Counts | undefined, seconds: number): string {
  if (ended.timedOut) return `took longer than ${seconds} s`;
  if (ended.signal !== null) return `ended by ${ended.signal}`;
  if (counts === undefined) return `no summary, or more than one (exit code ${ended.code})`;
  const { total, passed, skipped } = counts;
  if (passed !== total) return `${total - passed} of ${total} failed`;
  if (total === 0) return 'no test ran';
  if (skipped > 0) return `${skipped} skipped`;
  return ended.code === 0 ? '' : `exit code ${ended.code}`;
}

/** uvu says nothing of a suite whose `.run()` is forgotten. */
function unrun(source: string): string {
  const suites = source.match(/\bsuite(<[^>]*>)?\(/g)?.length ?? 0;
  const test = /import\s*\{[^}]*\btest\b[^}]*\}\s*from\s*'uvu'/.test(source) ? 1 : 0;
  const runs = source.match(/\.run\(\)/g)?.length ?? 0;
  return runs === suites + test ? '' : `${suites + test} suites, ${runs} of them run`;
}
