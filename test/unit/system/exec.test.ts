import fs from 'node:fs';
import path from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SystemError, errorCode } from '../../../agent/lib/errors.ts';
import { runChild, runProgram, runSync } from '../../../agent/system/exec.ts';
import { inTemporaryDirectory } from '../../harness/temporary.ts';
import { errorOf } from '../../harness/rejection.ts';

const program = suite('runProgram');
const sh = (script: string, seconds = 20, output?: (text: string) => void) =>
  runProgram('/bin/sh', ['-c', script], seconds, output);
program('returns stdout, stderr and the exit code', async () => {
  assert.equal(await sh('echo out; echo err >&2; exit 3'), {
    exit: 3,
    stdout: 'out\n',
    stderr: 'err\n',
    late: false,
  });
});
program('keeps the last 64 KiB of the output, and passes all of it on', async () => {
  let bytes = 0;
  const { stdout } = await sh(
    'head -c 300000 /dev/zero; echo end',
    20,
    (text) => void (bytes += text.length),
  );
  assert.equal([stdout.length, stdout.slice(-4), bytes], [65536, 'end\n', 300_004]);
});
program('ends a program at the time limit', async () => {
  const { exit, late } = await sh('exec sleep 60', 1);
  assert.equal([exit, late], [null, true]);
});
program('passes its own environment, not the caller’s', async () => {
  process.env['IMMUTAFS_SECRET'] = 'x';
  const { stdout } = await sh('env; pwd');
  assert.match(stdout, 'LC_ALL=C\n');
  assert.not.match(stdout, 'IMMUTAFS_SECRET');
  assert.match(stdout, /^\/$/m);
});
program('a missing program is an error', async () => {
  const error = await errorOf(runProgram('/nonexistent/program', [], 5));
  assert.instance(error, SystemError);
  assert.is((error as SystemError).code, 'ENOENT');
});
program.run();

const child = suite('runChild');
child('returns stdout, and whether the exit code was 0', async () => {
  assert.equal(await runChild('/bin/echo', ['a  b'], 5000), { stdout: 'a  b\n', ended: 'good' });
  assert.equal(await runChild('/bin/false', [], 5000), { stdout: '', ended: 'bad' });
});
child('a program that ended while this process was busy has not missed its deadline', async () => {
  const ran = runChild('/bin/sh', ['-c', 'echo out'], 200);
  // Blocks the event loop, as synchronous reads do on a slow machine.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
  assert.equal(await ran, { stdout: 'out\n', ended: 'good' });
});
child('keeps at most 16 MiB, but passes any amount on to a receiver', async () => {
  const args = ['-c', 'head -c 20000000 /dev/zero; echo end'];
  assert.is((await runChild('/bin/sh', args, 20_000)).ended, 'full');
  let [bytes, last] = [0, ''];
  const ended = await runChild('/bin/sh', args, 20_000, {
    output: (text) => {
      bytes += text.length;
      last = text.slice(-4);
    },
  });
  assert.equal(
    { ended, bytes, last },
    { ended: { stdout: '', ended: 'good' }, bytes: 20_000_004, last: 'end\n' },
  );
});
child('abandons a program at the deadline, and returns its output so far', async () => {
  const began = performance.now();
  const ended = await runChild('/bin/sh', ['-c', 'echo early; exec sleep 60'], 300);
  assert.equal(ended, { stdout: 'early\n', ended: 'deadline' });
  assert.ok(performance.now() - began < 3000);
});
child('a program that cannot be started is an error', async () => {
  const error = await errorOf(runChild('/none', [], 5000));
  assert.instance(error, SystemError);
  assert.is((error as SystemError).code, 'ENOENT');
});
child('passes no environment but its own', async () => {
  process.env['IMMUTAFS_TEST'] = 'x';
  const { stdout } = await runChild('/usr/bin/env', [], 5000);
  assert.equal(stdout.trim().split('\n').sort(), ['LC_ALL=C', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin']);
});
child.run();

const sync = suite('runSync');
sync('returns the exit code, or why the program could not be started', () => {
  const silent = { error: undefined, stdout: '', stderr: '' };
  assert.equal(runSync('/bin/sh', ['-c', 'exit 3']), { ...silent, exit: 3 });
  assert.equal(runSync('/bin/sh', ['-c', 'kill -9 $$']), { ...silent, exit: null });
  const script = ['-c', 'echo what; echo why >&2; exit 1'];
  const stderr = runSync('/bin/sh', script, { stdio: ['ignore', 'ignore', 'pipe'] });
  assert.equal(stderr, { ...silent, exit: 1, stderr: 'why\n' });
  const stdout = runSync('/bin/sh', script, { stdio: ['ignore', 'pipe', 'ignore'] });
  assert.equal(stdout, { ...silent, exit: 1, stdout: 'what\n' });
  assert.is(errorCode(runSync('/none', []).error), 'ENOENT');
});
sync('passes descriptors, and no environment but its own', () => {
  process.env['IMMUTAFS_TEST'] = 'x';
  whileOpen((fd) => {
    const script = 'pwd; exec env';
    assert.is(runSync('/bin/sh', ['-c', script], { stdio: ['ignore', fd, 'ignore'] }).exit, 0);
  }, /^\/\n(LC_ALL=C\n|PATH=\S+\n|PWD=\S*\n|_=\S*\n|OLDPWD=\S*\n|SHLVL=\S*\n)+$/);
});
sync.run();

/** Calls an action with an open file. @param written matches the text that the action writes to the descriptor */
function whileOpen(action: (fd: number) => void, written: RegExp): void {
  inTemporaryDirectory((directory) => {
    const fd = fs.openSync(path.join(directory, 'out'), 'w');
    action(fd);
    fs.closeSync(fd);
    assert.match(fs.readFileSync(path.join(directory, 'out'), 'latin1'), written);
  });
}
