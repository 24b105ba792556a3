import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const module = path.join(import.meta.dirname, '../../../agent/system/output.ts');
const written = 'x'.repeat(1 << 20);

const output = suite('standard output');

for (const [title, end] of [
  ['a program that ends by itself', ''],
  ['a program that flushes and then calls process.exit', 'await flush(); process.exit(0)'],
]) {
  output(`1 MiB into a slow pipe that another process made non-blocking arrives whole: ${title}`, () => {
    const program = print(`out('x'.repeat(${written.length})); out('end'); ${end}`);
    const { stdout } = spawnSync('python3', ['-c', nonBlocking, process.execPath, ...program], {
      encoding: 'utf8',
      maxBuffer: 2 * written.length,
    });
    assert.is(stdout.length, written.length + 3);
    assert.ok(stdout === `${written}end`);
  });
}

output('a reader that has closed the pipe is not an error', () => {
  const { stdout, stderr } = shell(
    '"$@" | head -c 3; echo ${PIPESTATUS[0]}',
    print(`out('${'y'.repeat(9)}')`),
  );
  assert.is(stdout, 'yyy0\n');
  assert.is(stderr, '');
  const many = shell('"$@" | true; echo ${PIPESTATUS[0]}', print(`out('x'.repeat(1 << 20))`));
  assert.equal([many.stdout, many.stderr], ['0\n', '']);
});

output('a full device is an error', () => {
  const { stdout, stderr } = shell('"$@" >/dev/full; echo $?', print(`out('x')`));
  assert.is(stdout, '1\n');
  assert.match(stderr, 'ENOSPC');
});

output('isTerminal is false for a pipe and /dev/null, and true for a terminal', () => {
  const ask = [
    '--input-type=module',
    '-e',
    `const { isTerminal } = await import(${JSON.stringify(module)}); process.exit(isTerminal(1) ? 0 : 1)`,
  ];
  assert.is(shell('"$@" | cat; echo ${PIPESTATUS[0]}', ask).stdout, '1\n');
  assert.is(shell('"$@" >/dev/null; echo $?', ask).stdout, '1\n');
  const inTerminal = shell(`script -qec "$(printf '%q ' "$@")" /dev/null; echo $?`, ask);
  assert.is(inTerminal.stdout, '0\n');
});

/** Returns Node's arguments for a program that writes with `out` and `flush`. */
function print(statement: string): string[] {
  const program = `const { outputTo } = await import(${JSON.stringify(module)}); const { write: out, flush } = outputTo(1); ${statement};`;
  return ['--input-type=module', '-e', program];
}

function shell(script: string, args: string[]): { stdout: string; stderr: string } {
  return spawnSync('bash', ['-c', script, 'bash', process.execPath, ...args], { encoding: 'utf8' });
}

/** Runs a program whose stdout is a non-blocking pipe with a reader that starts late and is slow. */
const nonBlocking = `
import os, subprocess, sys, time
reading, writing = os.pipe()
os.set_blocking(writing, False)
child = subprocess.Popen(sys.argv[1:], stdout=writing)
os.close(writing)
time.sleep(1)
while part := os.read(reading, 30000):
    sys.stdout.buffer.write(part)
sys.exit(child.wait())
`;

output.run();
