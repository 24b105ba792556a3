/**
 * node test/run.ts [--record] [--repeat] [--change | --all | --long | FILTER…]: runs the linters and the tests, each
 * file in its own process. Without arguments, it runs the quick selection (`harness/runner/selection.ts`), with --long
 * only the long guest tests, with --all every other file, with --change what the continuous integration runs: every file
 * but the guest tests that `harness/runner/scenarios.ts` does not choose. A FILTER is a part of a path and selects among
 * all files. With --record, the durations of the files become those by which later runs are ordered, and it is recorded
 * which scenarios passed, if the work tree has no changes. With --repeat, up to three files that failed run once more; one
 * that then passes is printed as unstable. The last line is `N passed, N failed`.
 */
import { parseArgs } from 'node:util';
import { endEveryGroup } from './harness/runner/process-group.ts';
import { runAll } from './harness/runner/run-all.ts';

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
const flag = { type: 'boolean', default: false } as const;
const { values, positionals: filters } = parseArgs({
  allowPositionals: true,
  options: { all: flag, change: flag, long: flag, record: flag, repeat: flag },
});
const extent = (['all', 'change', 'long'] as const).find((name) => values[name]) ?? 'quick';
try {
  process.exitCode = (await runAll(process.cwd(), { filters, extent }, print, values)) ? 0 : 1;
} finally {
  endEveryGroup();
}
