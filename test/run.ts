/**
 * node test/run.ts [FILTER…]: lint, then every test/**\/*.test.ts below the current folder, each as a process
 * of its own. A filter is a part of a file's path. The last line is `N passed, N failed`.
 */
import { runAll } from './harness/runner/run-all.ts';
import { endEveryGroup } from './harness/runner/process-group.ts';

for (const [signal, code] of [
  ['SIGHUP', 129],
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  process.once(signal, () => {
    endEveryGroup();
    process.exit(code);
  });
}

const print = (text: string) => void process.stdout.write(text);
process.exitCode = (await runAll(process.cwd(), process.argv.slice(2), print)) ? 0 : 1;
