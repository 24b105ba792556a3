import fs from 'node:fs';
import path from 'node:path';
import { type Ended, runInGroup } from './process-group.ts';
import { warmFile } from './schedule.ts';
import { lintFile } from './selection.ts';

const compileCache = path.join(import.meta.dirname, '../compile-cache.mjs');

export interface Result {
  /** The number of tests that passed. */
  passed: number;
  /** The number of tests that failed; at least 1 if there is a problem. */
  failed: number;
  /** Why the file failed; empty if it passed. */
  problem: string;
  output: string;
  seconds: number;
}

/**
 * Runs one file of tests. Any result other than a clear success is a failure.
 *
 * @param seconds time limit
 */
export async function runFile(root: string, file: string, seconds: number): Promise<Result> {
  const begin = performance.now();
  const ended = await runInGroup(process.execPath, [`--import=${compileCache}`, file], root, seconds);
  const { counts, problem } = outcome(root, file, ended, seconds);
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

function outcome(
  root: string,
  file: string,
  ended: Ended,
  seconds: number,
): { counts: Counts | undefined; problem: string } {
  if (file === warmFile) {
    const counts = { total: 1, passed: ended.code === 0 ? 1 : 0, skipped: 0 };
    return { counts, problem: judge(ended, counts, seconds) };
  }
  if (file === lintFile) {
    const counts = lintCounts(ended.output);
    return { counts, problem: judge(ended, counts, seconds) };
  }
  const counts = uvuCounts(ended.output);
  const source = fs.readFileSync(path.join(root, file), 'utf8');
  return { counts, problem: judge(ended, counts, seconds) || unrun(source) };
}

interface Counts {
  total: number;
  passed: number;
  skipped: number;
}

/** Reads the counts from uvu's summary (uvu/dist/index.mjs, exec). */
function uvuCounts(output: string): Counts | undefined {
  // oxlint-disable-next-line no-control-regex -- colours
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

/** Returns why a file failed. The exit code is not enough, because uvu exits with 0 if a `before` hook throws. */
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

/** Reports a suite whose `.run()` is missing, because uvu does not report it. */
function unrun(source: string): string {
  const suites = source.match(/\b(?:s|\w+S)uite(<[^>]*>)?\(/g)?.length ?? 0;
  const test = /import\s*\{[^}]*\btest\b[^}]*\}\s*from\s*'uvu'/.test(source) ? 1 : 0;
  const runs = source.match(/\.run\(\)/g)?.length ?? 0;
  return runs === suites + test ? '' : `${suites + test} suites, ${runs} of them run`;
}
