/**
 * node test/lint.ts: runs every linter over the whole project. A line for each linter, with the output of one that fails;
 * a warning for each guest test that did not pass for a long time; the last line is `N passed, N failed`.
 */
import { staleCoverage } from './coverage/coverage.ts';
import { ansibleLint } from './lint/collection.ts';
import { dueScenarios, isScenario } from './harness/runner/scenarios.ts';
import { findFiles } from './harness/runner/selection.ts';
import { bootDirectives } from './lint/directives.ts';
import { documentCommands, documentPaths, forbiddenWords, versions } from './lint/documents.ts';
import { layers } from './lint/layers.ts';
import { neutral } from './lint/neutral.ts';
import { programOptions } from './lint/options.ts';
import { stalePictures } from './lint/pictures.ts';
import { oxfmt, oxlint, rpmlint, tsc } from './lint/programs.ts';
import { bash, busybox, dash, shellcheck, specialBuiltins } from './lint/shell.ts';
import { exposure, systemdAnalyze } from './lint/units.ts';
import { walks } from './lint/walks.ts';

/** @returns the problems; empty if there is none */
type Linter = () => Promise<string> | string;

/** The longest first, so that the others run beside it. */
const linters: Record<string, Linter> = {
  'ansible-lint, yamllint': ansibleLint,
  oxlint,
  tsc: () => tsc('--incremental', '--tsBuildInfoFile', 'build/types.json'),
  oxfmt,
  shellcheck,
  'dash -n': dash,
  'bash --posix -n': bash,
  'busybox sh -n': busybox,
  'special builtins': specialBuiltins,
  'systemd-analyze verify': systemdAnalyze,
  'systemd-analyze security': exposure,
  'directives of systemd 219': bootDirectives,
  'options of RHEL 7': programOptions,
  rpmlint,
  versions,
  layers,
  'what immutafs-boot imports': neutral,
  'paths in documents': documentPaths,
  'walks through the source': walks,
  'commands in documents': documentCommands,
  'forbidden words': forbiddenWords,
  'coverage table': staleCoverage,
  pictures: stalePictures,
};

const waiting = Object.entries(linters);
let failed = 0;

async function work(): Promise<void> {
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    const [name, linter] = next;
    const problems = await run(linter);
    if (problems !== '') failed += 1;
    process.stdout.write(problems === '' ? `passed  ${name}\n` : `failed  ${name}\n${problems.trimEnd()}\n`);
  }
}

/** A linter that cannot be run has not passed. */
async function run(linter: Linter): Promise<string> {
  try {
    return (await linter()).trim();
  } catch (error) {
    return String(error);
  }
}

await Promise.all([work(), work()]);
const due = dueScenarios(process.cwd(), findFiles(process.cwd()).filter(isScenario));
process.stdout.write(due.map((line) => `warning ${line}\n`).join(''));
process.stdout.write(`${Object.keys(linters).length - failed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 ? 0 : 1;
