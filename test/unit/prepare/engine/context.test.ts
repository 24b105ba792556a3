import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SystemError } from '../../../../agent/lib/errors.ts';
import type { Ran, SystemWriter } from '../../../../agent/system/writer.ts';
import { type Context, type Tools, withContext } from '../../../../agent/prepare/engine/context.ts';
import { errorOf } from '../../../harness/rejection.ts';

const good: Ran = { exit: 0, stdout: 'out\n', stderr: '', late: false };

/** Calls `work` with a context in which all programs end in the same way. */
async function inContext(
  work: (context: Context) => Promise<void>,
  run: SystemWriter['run'] = () => Promise.resolve(good),
): Promise<void> {
  await withContext({ writer: { run } as SystemWriter } as Tools, work);
}

async function messageOf(action: Promise<unknown>): Promise<string> {
  const error = await errorOf(action);
  assert.instance(error, SystemError);
  return error.message;
}

const context = suite('prepare: the context of a step');

for (const [title, ran, expected] of [
  ['fails', { ...good, exit: 3, stderr: 'a\nb\nc\nd\n' }, '/bin/x y ended with 3: b; c; d'],
  ['is killed', { ...good, exit: null }, '/bin/x y ended with a signal'],
  ['takes too long', { ...good, exit: null, late: true }, '/bin/x y did not end within 5 s'],
] as const) {
  context(`a program that ${title} is an error, but not for runAbortable`, () =>
    inContext(
      async ({ run, runAbortable }) => {
        assert.is(await messageOf(run('/bin/x', ['y'], { seconds: 5 })), expected);
        assert.equal(await runAbortable('/bin/x', ['y']), ran);
      },
      () => Promise.resolve(ran),
    ),
  );
}

context('after a signal, only runAlways starts programs', async () => {
  const before = process.listenerCount('SIGTERM');
  await inContext(async ({ run, runAlways, runAbortable, abortOnSignals, checkAborted }) => {
    abortOnSignals();
    assert.is(await run('/bin/x', []), 'out\n');
    checkAborted();
    process.emit('SIGTERM', 'SIGTERM');
    assert.is(await messageOf(run('/bin/x', [])), 'interrupted by SIGTERM');
    assert.is(await messageOf(runAbortable('/bin/x', [])), 'interrupted by SIGTERM');
    assert.throws(checkAborted, /interrupted by SIGTERM/);
    assert.is(await runAlways('/bin/x', []), 'out\n');
  });
  assert.is(process.listenerCount('SIGTERM'), before);
});

context('a signal ends a program of runAbortable', () =>
  inContext(
    async ({ runAbortable, abortOnSignals }) => {
      abortOnSignals();
      const ended = messageOf(runAbortable('/bin/x', []));
      process.emit('SIGINT', 'SIGINT');
      assert.is(await ended, 'interrupted by SIGINT');
    },
    (_program, _args, _seconds, _output, stop) =>
      new Promise((resolve) => stop?.addEventListener('abort', () => resolve({ ...good, exit: null }))),
  ),
);

context('what actions share is opened once, and closed last to first, also after an error', async () => {
  const log: string[] = [];
  const opener = (name: string) => () => {
    log.push(`open ${name}`);
    return Promise.resolve({ value: name, close: () => Promise.resolve(void log.push(`close ${name}`)) });
  };
  const [one, two] = [opener('one'), opener('two')];
  const failing = inContext(async ({ shared }) => {
    assert.equal([await shared(one), await shared(two), await shared(one)], ['one', 'two', 'one']);
    throw new SystemError('failed');
  });
  assert.is(await messageOf(failing), 'failed');
  assert.equal(log, ['open one', 'open two', 'close two', 'close one']);
});

context('the signal handlers are removed even if closing a shared value fails', async () => {
  const before = process.listenerCount('SIGTERM');
  const failing = inContext(async ({ shared, abortOnSignals }) => {
    abortOnSignals();
    assert.is(process.listenerCount('SIGTERM'), before + 1);
    await shared(() => Promise.resolve({ value: 1, close: () => Promise.reject(new SystemError('busy')) }));
  });
  assert.is(await messageOf(failing), 'busy');
  assert.is(process.listenerCount('SIGTERM'), before);
});
context.run();
