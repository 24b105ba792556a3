/**
 * npm run mutants -- [--every N] [--seconds S] [--tests FILTER]… [--write PART] FILE…: changes one thing at a time in
 * modules of agent/, boot/ or dracut/, and prints the changes that no unit test notices, and for each test what it notices and no
 * cheaper test does. The tree is not changed (hook.mjs). A run has at most 5 s more
 * than three times the time of the test, and at most S seconds.
 */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { findFiles } from '../harness/runner/selection.ts';
import { executedIn } from './covered.ts';
import { type Mutant, mutantsOf } from './mutate.ts';
import { passes } from './run-test.ts';

const text = { type: 'string' } as const;
const { values, positionals: modules } = parseArgs({
  allowPositionals: true,
  options: {
    every: { ...text, default: '1' },
    seconds: { ...text, default: '60' },
    tests: { ...text, multiple: true },
    write: text,
  },
});
const filters = values.tests ?? ['test/unit/'];
const limit = Number(values.seconds);
const scores = path.join(import.meta.dirname, 'scores.json');
const hook = path.join(import.meta.dirname, 'hook.mjs');
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'mutants-'));
for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
process.once('exit', () => fs.rmSync(folder, { recursive: true, force: true }));

const tests = await measure();
const total = { mutants: 0, killed: 0 };
for (const file of modules) {
  const source = fs.readFileSync(file, 'utf8');
  const chosen = mutantsOf(source).filter((_, index) => index % Number(values.every) === 0);
  const alive = await survivors(file, source, chosen);
  for (const mutant of alive) print(`survived  ${describe(file, source, mutant)}`);
  print(`${chosen.length - alive.length} of ${chosen.length}  ${file}`);
  total.mutants += chosen.length;
  total.killed += chosen.length - alive.length;
}
print(`${total.killed} of ${total.mutants} killed`);
if (values.write !== undefined) write(values.write);

interface Measured {
  test: string;
  imports: ReadonlySet<string>;
  seconds: number;
  /** What it executed, for executedIn. */
  coverage: string;
}

/** Runs the tests that import one of the modules, also indirectly. @returns those that pass, the cheapest first */
async function measure(): Promise<Measured[]> {
  const measured: Measured[] = [];
  for (const test of findFiles(process.cwd()).filter((each) =>
    filters.some((filter) => each.includes(filter)),
  )) {
    const imports = imported(test);
    if (!modules.some((file) => imports.has(file))) continue;
    const coverage = fs.mkdtempSync(path.join(folder, 'coverage-'));
    const begin = performance.now();
    if (await passes(test, [], { NODE_V8_COVERAGE: coverage }, limit))
      measured.push({ test, imports, seconds: (performance.now() - begin) / 1000, coverage });
    else print(`left out, because it fails without a mutant or takes longer than ${limit} s: ${test}`);
  }
  return measured.sort((a, b) => a.seconds - b.seconds);
}

async function survivors(file: string, source: string, mutants: readonly Mutant[]): Promise<Mutant[]> {
  let alive = [...mutants];
  for (const { test, seconds, coverage } of tests.filter(({ imports }) => imports.has(file))) {
    if (alive.length === 0) break;
    const executed = executedIn(coverage, file);
    const left: Mutant[] = [];
    for (const mutant of alive) {
      const most = Math.min(limit, 5 + 3 * seconds);
      if (!executed(mutant.start) || (await passesWith(test, file, source, mutant, most))) left.push(mutant);
    }
    print(`kills ${alive.length - left.length}  ${test} (${seconds.toFixed(1)} s)`);
    alive = left;
  }
  return alive;
}

function passesWith(
  test: string,
  file: string,
  source: string,
  mutant: Mutant,
  seconds: number,
): Promise<boolean> {
  const mutated = path.join(folder, 'mutant.ts');
  fs.writeFileSync(mutated, source.slice(0, mutant.start) + mutant.replacement + source.slice(mutant.end));
  const env = { MUTANT_FILE: path.resolve(file), MUTANT_TEXT: mutated, NODE_OPTIONS: `--import=${hook}` };
  return passes(test, [], env, seconds);
}

/** Returns the modules that a file imports, also indirectly, and itself. */
function imported(file: string, found = new Set<string>()): Set<string> {
  if (found.has(file) || !fs.existsSync(file)) return found;
  found.add(file);
  for (const [, to = ''] of fs
    .readFileSync(file, 'utf8')
    .matchAll(/(?:from|import)\s*\(?\s*'(\.[^']*\.ts)'/g))
    imported(path.join(path.dirname(file), to), found);
  return found;
}

function describe(file: string, source: string, { start, end, replacement }: Mutant): string {
  const line = source.slice(0, start).split('\n').length;
  return `${file}:${line}  ${source.slice(start, end).replaceAll(/\s+/g, ' ')}  ->  ${replacement.replaceAll(/\s+/g, ' ')}`;
}

interface Score {
  percent: number;
}

/** Records the score of a part, with the modules, the tests and the share of the mutants that ran, and the score before. */
function write(part: string): void {
  const known = JSON.parse(fs.readFileSync(scores, 'utf8')) as Record<string, Score>;
  const percent = Math.floor((100 * total.killed) / total.mutants);
  const score = { ...total, percent, before: known[part]?.percent, every: Number(values.every) };
  const all = { ...known, [part]: { ...score, modules: modules.join(' '), tests: filters.join(' ') } };
  fs.writeFileSync(scores, `${JSON.stringify(all, null, 2)}\n`);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
