import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { scratch } from '../../../packaging/build/paths.ts';
import { writeProject } from './projects.ts';
import { type Extras, runAll } from './run-all.ts';
import { runFile } from './run-file.ts';

const folder = fs.mkdtempSync(path.join(scratch, 'runner-'));
process.once('exit', () => fs.rmSync(folder, { recursive: true }));

/** Returns the folder of a project, which it makes again. */
function project(name: string): string {
  const made = path.join(folder, name);
  fs.rmSync(made, { recursive: true, force: true });
  writeProject(made, name);
  return made;
}

const judged = suite('runFile');
for (const [file, passed, failed, problem] of [
  ['passing', 1, 0, ''],
  ['failing', 1, 1, '1 of 2 failed'],
  ['before-throws', 0, 2, '2 of 2 failed'],
  ['run-forgotten', 1, 1, '2 suites, 1 of them run'],
  ['run-forgotten-everywhere', 0, 1, 'no summary, or more than one (exit code 0)'],
  ['skipped', 1, 1, '1 skipped'],
  ['only', 1, 1, '1 skipped'],
  ['empty', 0, 1, 'no test ran'],
  ['crashing', 0, 1, 'no summary, or more than one (exit code 1)'],
  ['killed', 0, 1, 'ended by SIGKILL'],
  ['exits-badly', 1, 1, 'exit code 7'],
  ['leaves-early', 0, 1, 'no summary, or more than one (exit code 1)'],
] as const) {
  judged(file, async () => {
    const result = await runFile(project('red'), `test/unit/${file}.test.ts`, 30);
    assert.equal({ ...result, output: '', seconds: 0 }, { passed, failed, problem, output: '', seconds: 0 });
  });
}
judged.run();

const limits = suite('time limit');
for (const [file, limitSeconds, atLeast, below] of [
  ['hanging', 1, 1, 5],
  // The limit leaves the program time to ignore SIGTERM, also if other tests keep the processors busy.
  ['stubborn', 4, 9, 15],
] as const) {
  limits(`${file} is ended`, async () => {
    const result = await runFile(project('hanging'), `test/unit/${file}.test.ts`, limitSeconds);
    assert.is(result.problem, `took longer than ${limitSeconds} s`);
    assert.is(result.failed, 1);
    assert.ok(result.seconds >= atLeast && result.seconds < below, `${result.seconds} s`);
    await assertGone(result.output);
  });
}

limits('processes that a file leaves behind are killed', async () => {
  const result = await runFile(project('hanging'), 'test/unit/leaves-a-child.test.ts', 30);
  assert.is(result.problem, '');
  assert.ok(result.seconds < 10, `${result.seconds} s`);
  await assertGone(result.output);
});
limits.run();

/**
 * Waits until a process has gone, because kill(2) does not wait and a process that has ended may be a zombie until init
 * reaps it.
 */
async function assertGone(output: string): Promise<void> {
  const pid = /child (\d+)/.exec(output)?.[1];
  if (pid === undefined) return;
  for (let tries = 0; tries < 20 && !isGone(pid); tries++) await setTimeout(100);
  assert.ok(isGone(pid), `process ${pid} is still there`);
}

function isGone(pid: string): boolean {
  const stat = `/proc/${pid}/stat`;
  return !fs.existsSync(stat) || /\) [ZX]/.test(fs.readFileSync(stat, 'utf8'));
}

const runProject = (name: string, ...filters: string[]) => runWith({}, name, ...filters);

async function runWith(
  extras: Extras,
  name: string,
  ...filters: string[]
): Promise<{ good: boolean; lines: string[] }> {
  let text = '';
  const good = await runAll(project(name), { filters, extent: 'all' }, (part) => (text += part), extras);
  assert.ok(text.endsWith('\n'));
  return { good, lines: text.slice(0, -1).split('\n') };
}

const whole = suite('runAll');
whole('all pass: a line for each file, then the sum', async () => {
  const { good, lines } = await runProject('green');
  assert.is(good, true);
  const [lint, unit] = lines.slice(0, 2).sort();
  assert.match(lint ?? '', /^passed {2}test\/lint\.ts {2}\(2, \d+\.\d s\)$/);
  assert.match(unit ?? '', /^passed {2}test\/unit\/one\.test\.ts {2}\(2, \d+\.\d s\)$/);
  assert.equal(lines.slice(2), ['4 passed, 0 failed']);
});

whole('one fails: its whole output, and no output of the others', async () => {
  const { good, lines } = await runProject('red', 'unit/failing', 'unit/passing');
  const text = lines.join('\n');
  assert.is(good, false);
  assert.match(text, /^failed {2}test\/unit\/failing\.test\.ts {2}\(1 passed, 1 failed, .*: 1 of 2 failed$/m);
  assert.match(text, 'seen in the output');
  assert.match(text, /^passed {2}test\/unit\/passing/m);
  assert.is(text.split('Total:').length, 2);
  assert.not.match(text, 'lint.ts');
  assert.equal(lines.slice(-2), ['failed: test/unit/failing.test.ts: 1 of 2 failed', '2 passed, 1 failed']);
});

for (const repeat of [true, false]) {
  whole(
    `a file that fails only the first time: ${repeat ? 'repeated, and unstable' : 'failed'}`,
    async () => {
      const { good, lines } = await runWith({ repeat }, 'unstable', 'unit/unstable');
      const file = 'test/unit/unstable.test.ts';
      assert.is(good, repeat);
      assert.match(lines[0] ?? '', /^failed {2}test\/unit\/unstable/);
      assert.match(lines.join('\n'), 'the first time');
      const end = repeat
        ? [`unstable: ${file}: 1 of 1 failed, then passed`, '1 passed, 0 failed']
        : [`failed: ${file}: 1 of 1 failed`, '0 passed, 1 failed'];
      assert.equal(lines.slice(-2), end);
    },
  );
}

whole('files that fail again, and more than three failed files, are failures', async () => {
  const twice = await runWith({ repeat: true }, 'red', 'unit/failing', 'unit/passing');
  assert.is(twice.good, false);
  assert.is(twice.lines.filter((line) => line.startsWith('failed  ')).length, 2);
  assert.is(twice.lines.at(-1), '2 passed, 1 failed');
  const many = await runWith({ repeat: true }, 'red', 'failing', 'empty', 'exits-badly', 'crashing');
  assert.is(many.good, false);
  assert.is(many.lines.filter((line) => line.startsWith('failed  ')).length, 4);
});

whole('linters are counted', async () => {
  const { good, lines } = await runProject('broken-lint');
  assert.is(good, false);
  assert.match(lines[0] ?? '', /^failed {2}test\/lint\.ts {2}\(1 passed, 1 failed, .*: 1 of 2 failed$/);
  assert.is(lines.at(-1), '1 passed, 1 failed');
});

whole('linters that are missing are a failure', async () => {
  const { good, lines } = await runProject('hanging', 'lint');
  assert.is(good, false);
  assert.is(lines.at(-1), '0 passed, 1 failed');
});

whole('a filter that selects nothing is a failure', async () => {
  const { good, lines } = await runProject('green', 'no-such-file');
  assert.is(good, false);
  assert.equal(lines, ['failed: no-such-file: no file matches', '0 passed, 1 failed']);
});

function runProgram(name: string, ...args: string[]) {
  const program = path.join(import.meta.dirname, '../../run.ts');
  return spawnSync(process.execPath, [program, ...args], { cwd: project(name), encoding: 'utf8' });
}

whole('an unknown option is an error, and nothing runs', () => {
  const { status, stdout, stderr } = runProgram('green', '--help');
  assert.equal([status, stdout], [1, '']);
  assert.match(stderr, "Unknown option '--help'");
});
for (const [name, code, last] of [
  ['green', 0, '4 passed, 0 failed\n'],
  ['broken-lint', 1, '1 passed, 1 failed\n'],
] as const) {
  whole(`exit code of ${name}`, () => {
    const { status, stdout } = runProgram(name);
    assert.is(status, code);
    assert.ok(stdout.endsWith(`\n${last}`), stdout);
  });
}
whole.run();
